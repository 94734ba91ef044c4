"""Read pooling, maximum length and prompts from sentence-transformers' files.

There are no guesses: a model whose files do not specify these is rejected.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from build import known_settings, layers, modules, pooling
from build.errors import BuildError, check_all, raise_if_any
from build.layers import Layer
from build.pooling import Pooling
from build.sources.snapshot import Snapshot
from server.model.manifest import POOLING_MODES
from server.model.tokenization import Tokenizer

# Prompts that are in the model card but not in the model's files (source: the BAAI/bge-*-en-v1.5 cards).
_BGE_QUERY = {"query": "Represent this sentence for searching relevant passages: "}
CARD_PROMPTS = {f"BAAI/bge-{size}-en-v1.5": _BGE_QUERY for size in ("small", "base", "large")}
NO_LIMIT = 1_000_000_000
"""transformers writes about 1e30 for tokenizers without a limit."""
# Architectures whose position ids start after the padding id.
_POSITIONS_FROM_PADDING = (
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)


@dataclass(frozen=True)
class Sentence:
    """How token vectors become one sentence vector. `max_tokens` includes special tokens.

    The prompt `default_prompt_name` applies to requests without a prompt. Prompts named in `from_card` are not in the
    model's files. `layers` are those between pooling and the final normalisation.
    `encoder` is the part of the snapshot with the encoder's files. `pooling_file` is the file that the pooling was read
    from, None if it was named for the build. `limits` maps the setting and file of every length limit to its tokens;
    `max_tokens` is the smallest. `lower_cases` says whether texts are lower-cased, whatever the tokenizer's files say.
    """

    encoder: Snapshot
    pooling: Pooling
    pooling_file: str | None
    max_tokens: int
    limits: dict[str, int]
    normalizes: bool
    prompts: dict[str, str]
    default_prompt_name: str | None = None
    from_card: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()
    lower_cases: bool = False

    @property
    def pooling_named(self) -> bool:
        """Whether the pooling was named for the build, because no file of the model has it."""
        return self.pooling_file is None

    @property
    def default_prompt(self) -> str:
        """The prompt for requests without one."""
        return self.prompts[self.default_prompt_name] if self.default_prompt_name else ""

    def tokenizer(self, path: Path, unpooled: Mapping[str, int]) -> Tokenizer:
        """Load the tokenizer at `path` as the server does; `unpooled` counts tokens by prompt name.

        Raises:
            StartError: the server cannot serve such a tokenizer.
        """
        return Tokenizer(path, self.max_tokens, {self.prompts[name]: count for name, count in unpooled.items()})


def read(snapshot: Snapshot, named: Pooling | None = None) -> Sentence:
    """Read the sentence-transformers settings of a snapshot; `named` is the pooling of one that has no modules.json.

    Raises:
        BuildError: a file is missing, or a setting is unknown or not supported by the graph.
    """
    if known_settings.MODULES not in snapshot.files:
        return _without_modules(snapshot, named)
    if named is not None:
        raise BuildError(f"{snapshot.folder} says in its modules.json how it pools; build it without --pooling")
    part = encoder(snapshot)
    checks = (modules.read, _pool, _layers, _check_prompts)
    _, listed, pooling, layers, _, limits = check_all(
        partial(known_settings.check, snapshot, part),
        *(partial(check, snapshot) for check in checks),
        partial(_limits, part),
    )
    stated, default = _prompts(snapshot)
    prompts = stated or _card_prompts(snapshot)
    return Sentence(
        encoder=part,
        pooling=pooling,
        pooling_file=f"{listed.pooling.folder}/config.json",
        max_tokens=min(limits.values()),
        limits=limits,
        normalizes=listed.normalizes,
        prompts=prompts,
        default_prompt_name=default,
        from_card=() if stated else tuple(prompts),
        layers=layers,
        lower_cases=bool(_transformer(part)[1].get("do_lower_case")),
    )


def encoder(snapshot: Snapshot) -> Snapshot:
    """The part with the encoder's files: the Transformer's folder, or the top one if modules.json does not say."""
    try:
        return snapshot.inner(modules.read(snapshot).transformer.folder)
    except BuildError:
        return snapshot


def _without_modules(snapshot: Snapshot, named: Pooling | None) -> Sentence:
    """Read a plain Transformers folder, which has no sentence-transformers settings."""
    *_, limits = check_all(
        partial(_check_named, snapshot, named),
        partial(known_settings.check, snapshot, snapshot),
        partial(_limits, snapshot),
    )
    prompts = _card_prompts(snapshot)
    return Sentence(
        encoder=snapshot,
        pooling=cast(Pooling, named),
        pooling_file=None,
        max_tokens=min(limits.values()),
        limits=limits,
        normalizes=False,
        prompts=prompts,
        from_card=tuple(prompts),
    )


def _check_named(snapshot: Snapshot, named: Pooling | None) -> None:
    if named is None:
        raise BuildError(
            f"{snapshot.folder} has no modules.json, so it does not say how it makes one vector of its tokens'. Fetch "
            'that file, or name the pooling that the model was trained with: BUILD_ARGS="--pooling cls" '
            f"({', '.join(POOLING_MODES)}, or several joined by +)"
        )
    raise_if_any(
        f"{snapshot.folder} has {name} and no modules.json, without which sentence-transformers does not read "
        f"it; fetch modules.json, or remove {name}"
        for name in (known_settings.SENTENCE, *known_settings.TRANSFORMER)
        if name in snapshot.files
    )


def positions(config: Mapping[str, Any]) -> int | None:
    """Return the maximum number of tokens for the position table in `config.json`; None if not specified.

    Raises:
        BuildError: a value is not an integer.
    """
    rows = _whole(config, "max_position_embeddings")
    if rows is None or config.get("model_type") not in _POSITIONS_FROM_PADDING:
        return rows
    if "pad_token_id" in config and config["pad_token_id"] is None:
        raise BuildError("config.json: 'pad_token_id' is null, and this architecture counts positions from it")
    padding = _whole({"pad_token_id": 1, **config}, "pad_token_id", least=0)
    return rows - (padding or 0) - 1


def _pool(snapshot: Snapshot) -> Pooling:
    stated, _ = _prompts(snapshot)
    folder = modules.read(snapshot).pooling.folder
    return pooling.read(snapshot, folder, prompted=bool(stated or _card_prompts(snapshot)))


def _layers(snapshot: Snapshot) -> tuple[Layer, ...]:
    return layers.read(snapshot, modules.read(snapshot).after)


def _limits(snapshot: Snapshot) -> dict[str, int]:
    """Length limits by setting and file: the Transformer module's or else the tokenizer's, and the position table's."""
    file, settings = _transformer(snapshot)
    origin, stated = f"max_seq_length in {file}", _whole(settings, "max_seq_length")
    if stated is None:
        origin = f"model_max_length in {known_settings.TOKENIZER}"
        stated = _whole(known_settings.read(snapshot, known_settings.TOKENIZER), "model_max_length")
    table = positions(snapshot.json("config.json"))
    limits = {origin: stated, "max_position_embeddings in config.json": table}
    stated_limits = {origin: limit for origin, limit in limits.items() if limit is not None}
    if not stated_limits:
        raise BuildError(f"{snapshot.id} does not say how many tokens it reads (sentence_bert_config.json)")
    return stated_limits


def _transformer(snapshot: Snapshot) -> tuple[str, dict[str, Any]]:
    """The Transformer module's settings and their file, the first that has any."""
    files = ((name, known_settings.read(snapshot, name)) for name in known_settings.TRANSFORMER)
    return next(((name, settings) for name, settings in files if settings), ("", {}))


def _prompts(snapshot: Snapshot) -> tuple[dict[str, str], str | None]:
    """Return the non-empty prompts, and the name of the default."""
    settings = known_settings.read(snapshot, known_settings.SENTENCE)
    stated, default = settings.get("prompts", {}), settings.get("default_prompt_name")
    return {key: text for key, text in stated.items() if text}, default if stated.get(default) else None


def _check_prompts(snapshot: Snapshot) -> None:
    where, settings = snapshot.folder / known_settings.SENTENCE, known_settings.read(snapshot, known_settings.SENTENCE)
    stated, default = settings.get("prompts", {}), settings.get("default_prompt_name")
    wrong = [key for key, text in stated.items() if text is not None and not isinstance(text, str)]
    problems = [f"{where}: the prompt {key!r} is no text" for key in wrong]
    # sentence-transformers defines these two, as empty prompts, if the file does not.
    if default is not None and default not in {"query", "document", *stated}:
        problems.append(f"{where}: 'default_prompt_name' is {default!r}, which is no prompt in it")
    raise_if_any(problems)


def _card_prompts(snapshot: Snapshot) -> dict[str, str]:
    """Return the prompts from the model's card, if any; a local copy is recognized by its folder's name."""
    by_name = {card: prompts for card, prompts in CARD_PROMPTS.items() if snapshot.id in (card, card.split("/")[1])}
    return dict(next(iter(by_name.values()), {}))


def _whole(settings: Mapping[str, Any], key: str, least: int = 1) -> int | None:
    value = settings.get(key)
    if value is None:
        return None
    # The tokenizers library takes no floats; transformers never gives it one that stands for no limit, such as 1e30.
    whole = isinstance(value, int) or (isinstance(value, float) and NO_LIMIT <= value < float("inf"))
    if isinstance(value, bool) or not whole or value < least:
        raise BuildError(f"{key!r} is {value!r}, and should be a whole number from {least} on")
    return int(value)
