"""A complete tiny model: a WordPiece-like tokenizer, an ONNX graph of six nodes and a manifest."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, normalizers, pre_tokenizers, processors

from bench.onnx_bytes import FLOAT, INT64, model, node, tensor, value
from server.model import manifest

NAME = "tiny"
DIMENSION = 8
MAX_TOKENS = 16
CLS, SEP = 1, 2
WORDS = ["[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "query", ":", "the", "cat", "dog", "sat", "warm", "ready"]
WEIGHTS = {"model.safetensors": "1" * 64}
NAN_WORD, ZERO_WORD = WORDS.index("d"), WORDS.index("e")


def write_model(folder: Path, name: str = NAME, changes: Mapping[str, object] | None = None) -> None:
    """Write graph, tokenizer and manifest into `folder`; `changes` replace top-level keys of the manifest."""
    (folder / f"{name}.onnx").write_bytes(graph(table()))
    write_tokenizer(folder / f"{name}.tokenizer.json")
    write_manifest(folder, name, changes)


def write_manifest(folder: Path, name: str = NAME, changes: Mapping[str, object] | None = None) -> None:
    """Write a manifest for the files in `folder`; `changes` replace its top-level keys."""
    fields = describe(folder, name) | dict(changes or {})
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(fields))


def describe(folder: Path, name: str) -> dict[str, object]:
    """Return the fields of a manifest that matches the files in `folder`."""
    same = {"mean": 1.0, "p01": 1.0, "min": 1.0}
    variant = {"precision": "fp32", "passes": ["export"], "fidelity": {"to_fp32": same, "to_source": same}}
    return {
        "schema": manifest.SCHEMA,
        "name": name,
        "source": {"kind": "synthetic", "id": f"tests/{name}", "revision": "1", "licence": "none", "files": WEIGHTS},
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
    """Return the manifest's entry for a file."""
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def write_tokenizer(path: Path) -> None:
    """Write a word tokenizer that adds [CLS] and [SEP]."""
    tokenizer = tokenizers.Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", CLS), ("[SEP]", SEP)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=12)
    tokenizer.save(str(path))


def table(dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Return the embedding table: random rows, one of NaN and one of zeros."""
    rows = np.random.default_rng(1).normal(size=(len(WORDS), dimension)).astype(np.float32)
    rows[NAN_WORD] = np.nan
    rows[ZERO_WORD] = rows[CLS] = rows[SEP] = 0
    return rows


def graph(rows: NDArray[np.float32], output: str = "sentence_embedding") -> bytes:
    """Return an ONNX model: the unit vector along the sum of the table's rows for the ids that the mask keeps."""
    nodes = [
        node("Gather", ["table", "input_ids"], "words"),
        node("Cast", ["attention_mask"], "mask", to=FLOAT),
        node("Unsqueeze", ["mask", "last"], "mask3"),
        node("Mul", ["words", "mask3"], "kept"),
        node("ReduceSum", ["kept", "middle"], "sum", keepdims=0),
        node("LpNormalization", ["sum"], output, axis=-1, p=2),
    ]
    axes = [tensor(name, np.array([axis], np.int64)) for name, axis in (("last", 2), ("middle", 1))]
    return model(
        "tiny",
        nodes,
        constants=[tensor("table", rows), *axes],
        inputs=[value(name, INT64, ["batch", "sequence"]) for name in ("input_ids", "attention_mask")],
        outputs=[value(output, FLOAT, ["batch", rows.shape[1]])],
        opset=13,
    )
