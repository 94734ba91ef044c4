"""What a model's linear layers ask of a machine, to set a speed against the machine's own limit."""

from collections.abc import Mapping
from typing import Any


def operations_per_token(config: Mapping[str, Any]) -> int:
    """Additions and multiplications of an encoder's linear layers for one token, from its config.json.

    Four products of hidden x hidden (query, key, value, output) and two of hidden x feed-forward a layer: 12 hidden²
    where the feed-forward is four times as wide. Attention itself and what lies between the products are not counted,
    so a share of the limit never reaches 100 % by itself.

    Raises:
        KeyError: an architecture whose configuration names these otherwise.
    """
    hidden = _first(config, "hidden_size", "dim")
    layers = _first(config, "num_hidden_layers", "n_layers")
    inner = _first(config, "intermediate_size", "hidden_dim")
    return 2 * layers * (4 * hidden * hidden + 2 * hidden * inner)


def operations_per_pair(config: Mapping[str, Any]) -> int:
    """Additions and multiplications of attention for one pair of tokens of a text: its score, and the value's share.

    Raises:
        KeyError: an architecture whose configuration names these otherwise.
    """
    return 4 * _first(config, "num_hidden_layers", "n_layers") * _first(config, "hidden_size", "dim")


def _first(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if name in config:
            return int(config[name])
    raise KeyError(f"config.json has none of {', '.join(names)}")
