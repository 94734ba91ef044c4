"""The tokenizer that is served, from the one that transformers makes of a model's files."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from build.errors import BuildError, reason


def served_tokenizer(fast: Any, rows: int) -> Tokenizer:  # noqa: ANN401 - transformers' tokenizer, untyped
    """Return it without padding and truncation, which the server applies; `rows` is the size of the embedding table.

    Raises:
        BuildError: some token ids have no embedding.
    """
    made = json.loads(fast.backend_tokenizer.to_str())
    made["normalizer"] = _without_repetition(made["normalizer"])
    loaded = Tokenizer.from_str(json.dumps(made))
    loaded.no_padding()
    loaded.no_truncation()
    _check_ids(loaded, rows)
    return loaded


def load_tokenizer(folder: Path, **options: Any) -> Any:  # noqa: ANN401 - untyped
    """Have transformers make a tokenizer of a model's files.

    Raises:
        BuildError: it makes none.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # the library raises any type
        raise BuildError(
            f"no tokenizer can be made of tokenizer.json and the files beside it in {folder}: {reason(error)}"
        ) from error


def check_fast(loaded: object, model: str) -> None:
    """Check that transformers made a tokenizer of the kind that can be served.

    Raises:
        BuildError: it did not.
    """
    if not getattr(loaded, "is_fast", False):
        raise BuildError(f"{model} has no tokenizer.json, and none can be made from its other files")


def _check_ids(loaded: Tokenizer, rows: int) -> None:
    beyond = sorted((id_, token) for token, id_ in loaded.get_vocab(with_added_tokens=True).items() if id_ >= rows)
    if beyond:
        id_, token = beyond[0]
        raise BuildError(
            f"the tokenizer has {len(beyond)} tokens without an embedding, such as {token!r} with id {id_}: the "
            f"model's table has {rows} rows. A text with one could not be embedded. Remove them from the "
            "tokenizer's files, or enlarge the table (`resize_token_embeddings`), train it and save the model anew"
        )


def _without_repetition(normalizer: object) -> object:
    """Drop a Lowercase normalizer before BERT's, which lower-cases every character identically."""
    match normalizer:
        case {
            "type": "Sequence",
            "normalizers": [{"type": "Lowercase"}, {"type": "BertNormalizer", "lowercase": True} as bert],
        }:
            return bert
    return normalizer
