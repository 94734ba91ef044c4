"""What makes an encoder a sentence model: pooling, length, prompts; read from sentence-transformers' files.

Nothing here is guessed: a model whose files do not say how its vectors are made is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from build import known_settings
from build.errors import BuildError
from build.sources.snapshot import Snapshot

Pooling = Literal["cls", "mean"]

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
_SUPPORTED = "supported are Transformer, Pooling (cls or mean) and Normalize, each at most once and in this order"
# The words that sentence-transformers 5 writes, by the flags of the versions before it.
_MODES = {
    "cls_token": "cls",
    "max_tokens": "max",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class Sentence:
    """How token vectors become one sentence vector. `max_tokens` includes the special tokens.

    The prompt named `default_prompt_name` goes before texts for which no other is asked. Of `prompts`, those
    named in `from_card` are not in the model's files.
    """

    pooling: Pooling
    max_tokens: int
    normalizes: bool
    prompts: dict[str, str]
    default_prompt_name: str | None = None
    from_card: tuple[str, ...] = ()

    @property
    def default_prompt(self) -> str:
        """What goes before a text for which no prompt is asked."""
        return self.prompts[self.default_prompt_name] if self.default_prompt_name else ""


def read(snapshot: Snapshot) -> Sentence:
    """Read the sentence-transformers settings of a snapshot.

    Raises:
        BuildError: a file is missing, a setting is not known, or one asks for what the graph cannot carry.
    """
    known_settings.check(snapshot)
    modules = _modules(snapshot)
    stated, default = _prompts(snapshot)
    prompts = stated or _card_prompts(snapshot)
    return Sentence(
        pooling=_pooling(snapshot, modules["Pooling"], prompted=bool(prompts)),
        max_tokens=_max_tokens(snapshot),
        normalizes="Normalize" in modules,
        prompts=prompts,
        default_prompt_name=default,
        from_card=() if stated else tuple(prompts),
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


def _modules(snapshot: Snapshot) -> dict[str, str]:
    """Class name → folder of each module; only Transformer, Pooling and Normalize have a place in the graph."""
    where = f"{snapshot.folder / known_settings.MODULES}"
    listed = snapshot.value(known_settings.MODULES)
    if not isinstance(listed, list):
        raise BuildError(f"{where} is not a list of modules")
    entries = [known_settings.check_module(entry, where) for entry in listed]
    names = [str(entry["type"]).rsplit(".", 1)[-1] for entry in entries]
    for name, entry in zip(names, entries, strict=True):
        if name not in ("Transformer", "Pooling", "Normalize"):
            raise BuildError(f"{snapshot.id} has module {name}; {_SUPPORTED}")
        if not str(entry["type"]).startswith("sentence_transformers."):
            raise BuildError(f"{snapshot.id} needs code of its own for {entry['type']!r}, which is never run here")
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise BuildError(f"{snapshot.id} has the modules {', '.join(names) or 'none'}; {_SUPPORTED}")
    if entries[0]["path"]:
        raise BuildError(f"{where} puts the Transformer into {entries[0]['path']!r}; move its files to the top folder")
    return {name: str(entry["path"]) for name, entry in zip(names, entries, strict=True)}


def _pooling(snapshot: Snapshot, folder: str, *, prompted: bool) -> Pooling:
    name = f"{folder}/config.json"
    config = snapshot.json(name)
    known_settings.check_pooling(config, f"{snapshot.folder / name}")
    if prompted and config.get("include_prompt") is False:
        raise BuildError(
            f"{snapshot.folder / name}: 'include_prompt' is false, which leaves the prompt's tokens out of pooling; "
            "that is not supported. Without prompts in config_sentence_transformers.json it is built for plain texts"
        )
    modes = _modes(config)
    if modes == ["cls"]:
        return "cls"
    if modes == ["mean"]:
        return "mean"
    raise BuildError(f"{snapshot.id} pools by {'+'.join(modes) or 'nothing'}; supported are cls and mean")


def _modes(config: Mapping[str, Any]) -> list[str]:
    """The pooling modes that are on; the one word of newer files goes before the flags of older ones."""
    stated = config.get("pooling_mode")
    if "pooling_mode" in config:
        return [str(mode) for mode in stated] if isinstance(stated, list) else [str(stated)]
    return [mode for flag, mode in _MODES.items() if config.get(f"pooling_mode_{flag}")]


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
