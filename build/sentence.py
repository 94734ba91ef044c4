"""What makes an encoder a sentence model: pooling, length, prompts; read from sentence-transformers' files.

Nothing here is guessed: a model whose files do not say how its vectors are made is refused.
"""

from dataclasses import dataclass
from typing import Any, Literal

from build.errors import BuildError
from build.sources.snapshot import Snapshot

Pooling = Literal["cls", "mean"]

# Model cards that name a prompt which the model's own files leave out (source: the BAAI/bge-*-en-v1.5 cards).
_BGE_QUERY = {"query": "Represent this sentence for searching relevant passages: "}
CARD_PROMPTS = {f"BAAI/bge-{size}-en-v1.5": _BGE_QUERY for size in ("small", "base", "large")}


@dataclass(frozen=True)
class Sentence:
    """How token vectors become one sentence vector. `max_tokens` includes the special tokens."""

    pooling: Pooling
    max_tokens: int
    normalizes: bool
    lowercases: bool
    prompts: dict[str, str]


def read(snapshot: Snapshot) -> Sentence:
    """Read the sentence-transformers settings of a snapshot.

    Raises:
        BuildError: a file is missing, or names a module or pooling mode that the graph cannot carry.
    """
    modules = _modules(snapshot)
    bert = snapshot.json("sentence_bert_config.json") if "sentence_bert_config.json" in snapshot.files else {}
    return Sentence(
        pooling=_pooling(snapshot, modules),
        max_tokens=_max_tokens(snapshot, bert),
        normalizes="Normalize" in modules,
        lowercases=bool(bert.get("do_lower_case", False)),
        prompts=_prompts(snapshot),
    )


def _modules(snapshot: Snapshot) -> dict[str, str]:
    """Class name → folder of each module; only Transformer, Pooling and Normalize have a place in the graph."""
    listed = snapshot.value("modules.json")
    if not isinstance(listed, list):
        raise BuildError(f"{snapshot.folder}/modules.json is not a list of modules")
    modules = {str(entry["type"]).rsplit(".", 1)[-1]: str(entry.get("path", "")) for entry in listed}
    strange = sorted(set(modules) - {"Transformer", "Pooling", "Normalize"})
    if strange or "Pooling" not in modules:
        what = f"module {', '.join(strange)}" if strange else "no Pooling module"
        raise BuildError(f"{snapshot.id} has {what}; supported are Transformer, Pooling (cls or mean) and Normalize")
    return modules


def _pooling(snapshot: Snapshot, modules: dict[str, str]) -> Pooling:
    config = snapshot.json(f"{modules['Pooling']}/config.json")
    flag = "pooling_mode_"
    modes = {name.removeprefix(flag) for name, on in config.items() if name.startswith(flag) and on}
    # sentence-transformers 5 writes one word in place of the flags.
    modes |= set(str(config["pooling_mode"]).split("+")) if "pooling_mode" in config else set()
    if modes in ({"cls_token"}, {"cls"}):
        return "cls"
    if modes in ({"mean_tokens"}, {"mean"}):
        return "mean"
    raise BuildError(f"{snapshot.id} pools by {'+'.join(sorted(modes)) or 'nothing'}; supported are cls and mean")


def _max_tokens(snapshot: Snapshot, bert: dict[str, Any]) -> int:
    """The smallest of what the settings, the tokenizer and the position table allow."""
    config = snapshot.json("config.json")
    tokenizer = snapshot.json("tokenizer_config.json") if "tokenizer_config.json" in snapshot.files else {}
    positions = config.get("max_position_embeddings")
    if positions is not None and config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        positions -= int(config.get("pad_token_id", 1)) + 1  # These count positions from the padding id on.
    limits = [bert.get("max_seq_length"), tokenizer.get("model_max_length"), positions]
    known = [int(limit) for limit in limits if limit is not None]
    if not known:
        raise BuildError(f"{snapshot.id} does not say how many tokens it reads (sentence_bert_config.json)")
    return min(known)


def _prompts(snapshot: Snapshot) -> dict[str, str]:
    name = "config_sentence_transformers.json"
    stated = snapshot.json(name).get("prompts", {}) if name in snapshot.files else {}
    prompts = {str(key): str(text) for key, text in stated.items() if text}
    return prompts or dict(CARD_PROMPTS.get(snapshot.id, {}))
