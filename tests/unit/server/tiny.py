"""A whole model small enough to be made in a test: a WordPiece-like tokenizer, a four-node ONNX graph, a manifest.

The graph is written as protobuf by hand, since the runtime's environment has no `onnx` package.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, normalizers, pre_tokenizers, processors

from server.model import manifest

NAME = "tiny"
DIMENSION = 8
MAX_TOKENS = 16
CLS, SEP = 1, 2
WORDS = ["[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "query", ":", "the", "cat", "dog", "sat", "warm", "ready"]
NAN_WORD, ZERO_WORD = WORDS.index("d"), WORDS.index("e")


def write_model(folder: Path, name: str = NAME, changes: Mapping[str, object] | None = None) -> None:
    """Write graph, tokenizer and manifest into `folder`; `changes` replace top-level keys of the manifest."""
    (folder / f"{name}.onnx").write_bytes(graph(table()))
    write_tokenizer(folder / f"{name}.tokenizer.json")
    fields = describe(folder, name) | dict(changes or {})
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(fields))


def describe(folder: Path, name: str) -> dict[str, object]:
    """Return the fields of a manifest that fits the files in `folder`."""
    same = {"mean": 1.0, "p01": 1.0, "min": 1.0}
    variant = {"precision": "fp32", "passes": ["export"], "fidelity": {"to_fp32": same, "to_source": same}}
    return {
        "schema": manifest.SCHEMA,
        "name": name,
        "source": {"kind": "synthetic", "id": f"tests/{name}", "revision": "1", "licence": "none", "files": {}},
        "architecture": "BagOfWords",
        "dimension": DIMENSION,
        "max_tokens": MAX_TOKENS,
        "pooling": "mean",
        "source_normalizes": True,
        "prompts": {"query": "query: "},
        "tokenizer": described_file(folder / f"{name}.tokenizer.json"),
        "variants": {"fp32": described_file(folder / f"{name}.onnx") | variant},
        "fidelity_texts": {"count": 1, "sha256": "0" * 64},
        "calibration_texts": {"count": 1, "sha256": "0" * 64},
        "notes": [],
        "tools": {},
    }


def described_file(path: Path) -> dict[str, object]:
    """Return a manifest's entry for a file."""
    raw = path.read_bytes()
    return {"file": path.name, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def write_tokenizer(path: Path) -> None:
    """Write a tokenizer of whole words that wraps texts in [CLS] and [SEP]."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", CLS), ("[SEP]", SEP)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12)
    tokenizer.save(str(path))


def table(dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Return the embedding table: random rows, one that is NaN and one that is zero."""
    rows = np.random.default_rng(1).normal(size=(len(WORDS), dimension)).astype(np.float32)
    rows[NAN_WORD] = np.nan
    rows[ZERO_WORD] = rows[CLS] = rows[SEP] = 0
    return rows


def graph(rows: NDArray[np.float32], output: str = "sentence_embedding") -> bytes:
    """Return an ONNX model: the unit vector along the sum of the table's rows for the ids that the mask keeps."""
    nodes = [
        _node("Gather", ["table", "input_ids"], "words"),
        _node("Cast", ["attention_mask"], "mask", _int("to", 1)),
        _node("Unsqueeze", ["mask", "last"], "mask3"),
        _node("Mul", ["words", "mask3"], "kept"),
        _node("ReduceSum", ["kept", "middle"], "sum", _int("keepdims", 0)),
        _node("LpNormalization", ["sum"], output, _int("axis", -1), _int("p", 2)),
    ]
    tensors = [_tensor("table", rows, 1)]
    tensors += [_tensor(name, np.array([axis], np.int64), 7) for name, axis in (("last", 2), ("middle", 1))]
    inputs = [_value(name, 7, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")]
    body = b"".join(
        [
            *(_field(1, node) for node in nodes),
            _field(2, b"tiny"),
            *(_field(5, tensor) for tensor in tensors),
            *(_field(11, value) for value in inputs),
            _field(12, _value(output, 1, ["batch", rows.shape[1]])),
        ]
    )
    return _number(1, 8) + _field(8, _number(2, 13)) + _field(7, body)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _int(name: str, value: int) -> bytes:
    return _field(1, name.encode()) + _number(3, value) + _number(20, 2)


def _node(operator: str, inputs: Iterable[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs)
    return (
        names + _field(2, output.encode()) + _field(4, operator.encode()) + b"".join(_field(5, a) for a in attributes)
    )


def _tensor(name: str, array: NDArray[np.generic], kind: int) -> bytes:
    dims = b"".join(_number(1, size) for size in array.shape)
    return dims + _number(2, kind) + _field(8, name.encode()) + _field(9, array.tobytes())


def _value(name: str, kind: int, shape: list[str | int]) -> bytes:
    dims = (_field(2, size.encode()) if isinstance(size, str) else _number(1, size) for size in shape)
    tensor = _number(1, kind) + _field(2, b"".join(_field(1, dim) for dim in dims))
    return _field(1, name.encode()) + _field(2, _field(1, tensor))
