"""What makes an encoder a sentence model: pooling, length, prompts; read from sentence-transformers' files.

Nothing here is guessed: a model whose files do not say how its vectors are made is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build import known_settings, layers, modules, pooling
from build.errors import BuildError
from build.layers import Layer
from build.pooling import Pooling
from build.sources.snapshot import Snapshot
from server.model.manifest import POOLING_MODES
from server.model.tokenization import Tokenizer

# Model cards that name a prompt which the model's own files leave out (source: the BAAI/bge-*-en-v1.5 cards).
_BGE_QUERY = {"query": "Represent this sentence for searching relevant passages: "}
CARD_PROMPTS = {f"BAAI/bge-{size}-en-v1.5": _BGE_QUERY for size in ("small", "base", "large")}
# These count positions from the padding id on.
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
    """How token vectors become one sentence vector. `max_tokens` includes the special tokens.

    The prompt named `default_prompt_name` goes before texts for which no other is asked. Of `prompts`, those
    named in `from_card` are not in the model's files. `layers` are those between pooling and the final normalisation.
    `encoder` is the part of the snapshot with the encoder's files; `pooling_named` says that no file names the pooling.
    """

    encoder: Snapshot
    pooling: Pooling
    max_tokens: int
    normalizes: bool
    prompts: dict[str, str]
    default_prompt_name: str | None = None
    from_card: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()
    pooling_named: bool = False

    @property
    def default_prompt(self) -> str:
        """What goes before a text for which no prompt is asked."""
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
        BuildError: a file is missing, a setting is not known, or one asks for what the graph cannot carry.
    """
    if known_settings.MODULES not in snapshot.files:
        return _without_modules(snapshot, named)
    if named is not None:
        raise BuildError(f"{snapshot.folder} says in its modules.json how it pools; build it without --pooling")
    found = modules.read(snapshot)
    encoder = snapshot.inner(found.transformer.folder)
    known_settings.check(snapshot, encoder)
    stated, default = _prompts(snapshot)
    prompts = stated or _card_prompts(snapshot)
    return Sentence(
        encoder=encoder,
        pooling=pooling.read(snapshot, found.pooling.folder, prompted=bool(prompts)),
        max_tokens=_max_tokens(encoder),
        normalizes=found.normalizes,
        prompts=prompts,
        default_prompt_name=default,
        from_card=() if stated else tuple(prompts),
        layers=layers.read(snapshot, found.after),
    )


def _without_modules(snapshot: Snapshot, named: Pooling | None) -> Sentence:
    """Read a plain Transformers folder, which has no sentence-transformers settings."""
    if named is None:
        raise BuildError(
            f"{snapshot.folder} has no modules.json, so it does not say how it makes one vector of its tokens'. Fetch "
            'that file, or name the pooling that the model was trained with: BUILD_ARGS="--pooling cls" '
            f"({', '.join(POOLING_MODES)}, or several joined by +)"
        )
    unread = [name for name in (known_settings.SENTENCE, *known_settings.TRANSFORMER) if name in snapshot.files]
    if unread:
        raise BuildError(
            f"{snapshot.folder} has {unread[0]} and no modules.json, without which sentence-transformers does not read "
            f"it; fetch modules.json, or remove {unread[0]}"
        )
    encoder, prompts = snapshot.inner(""), _card_prompts(snapshot)
    known_settings.check(snapshot, encoder)
    return Sentence(
        encoder=encoder,
        pooling=named,
        max_tokens=_max_tokens(encoder),
        normalizes=False,
        prompts=prompts,
        from_card=tuple(prompts),
        pooling_named=True,
    )


def positions(config: Mapping[str, Any]) -> int | None:
    """The most tokens that the position table of `config.json` has rows for; None where it does not say.

    Raises:
        BuildError: it holds other than whole numbers.
    """
    rows = _whole(config, "max_position_embeddings")
    if rows is None or config.get("model_type") not in _POSITIONS_FROM_PADDING:
        return rows
    if "pad_token_id" in config and config["pad_token_id"] is None:
        raise BuildError("config.json: 'pad_token_id' is null, and this architecture counts positions from it")
    padding = _whole({"pad_token_id": 1, **config}, "pad_token_id", least=0)
    return rows - (padding or 0) - 1


def _max_tokens(snapshot: Snapshot) -> int:
    """What the settings say, else the tokenizer; never more than the position table allows."""
    stated = _whole(_transformer(snapshot), "max_seq_length")
    if stated is None and known_settings.TOKENIZER in snapshot.files:
        stated = _whole(snapshot.json(known_settings.TOKENIZER), "model_max_length")
    known = [limit for limit in (stated, positions(snapshot.json("config.json"))) if limit is not None]
    if not known:
        raise BuildError(f"{snapshot.id} does not say how many tokens it reads (sentence_bert_config.json)")
    return min(known)


def _transformer(snapshot: Snapshot) -> dict[str, Any]:
    """The settings of the Transformer module, from the first of its files that says anything."""
    files = (snapshot.json(name) for name in known_settings.TRANSFORMER if name in snapshot.files)
    return next((settings for settings in files if settings), {})


def _prompts(snapshot: Snapshot) -> tuple[dict[str, str], str | None]:
    """Each prompt with text in it, and the name of the one that is the default."""
    name = known_settings.SENTENCE
    settings = snapshot.json(name) if name in snapshot.files else {}
    stated = settings.get("prompts", {})
    wrong = [key for key, text in stated.items() if text is not None and not isinstance(text, str)]
    if wrong:
        raise BuildError(f"{snapshot.folder / name}: the prompt {wrong[0]!r} is no text")
    default = settings.get("default_prompt_name")
    # sentence-transformers knows these two by itself, and has them empty where the file does not say.
    if default is not None and default not in {"query", "document", *stated}:
        raise BuildError(f"{snapshot.folder / name}: 'default_prompt_name' is {default!r}, which is no prompt in it")
    return {key: text for key, text in stated.items() if text}, default if stated.get(default) else None


def _card_prompts(snapshot: Snapshot) -> dict[str, str]:
    """The prompts of the model's card, where it names some; a folder is known by its name, as its copies bear it."""
    by_name = {card: prompts for card, prompts in CARD_PROMPTS.items() if snapshot.id in (card, card.split("/")[1])}
    return dict(next(iter(by_name.values()), {}))


def _whole(settings: Mapping[str, Any], key: str, least: int = 1) -> int | None:
    value = settings.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
        raise BuildError(f"{key!r} is {value!r}, and should be a whole number from {least} on")
    return int(value)
