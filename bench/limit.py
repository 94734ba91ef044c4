"""Count a model's operations, to compare its speed with the machine's peak."""

from collections.abc import Mapping
from typing import Any


def operations_per_token(config: Mapping[str, Any]) -> int:
    """Return additions and multiplications of an encoder's linear layers per token, from its config.json.

    Each layer has four hidden x hidden products (query, key, value, output) and two hidden x feed-forward products:
    12 hidden² multiply-adds where the feed-forward is four times as wide. Attention scores and element-wise operations
    are not counted, so the share of the peak stays below 100 %.

    Raises:
        KeyError: the configuration uses other names.
    """
    hidden = _first(config, "hidden_size", "dim")
    layers = _first(config, "num_hidden_layers", "n_layers")
    inner = _first(config, "intermediate_size", "hidden_dim")
    return 2 * layers * (4 * hidden * hidden + 2 * hidden * inner)


def operations_per_pair(config: Mapping[str, Any]) -> int:
    """Return additions and multiplications of attention per pair of tokens: the score and the weighted value.

    Raises:
        KeyError: the configuration uses other names.
    """
    return 4 * _first(config, "num_hidden_layers", "n_layers") * _first(config, "hidden_size", "dim")


def _first(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if name in config:
            return int(config[name])
    raise KeyError(f"config.json has none of {', '.join(names)}")
