"""Architectures in the padding-free graph: every variant, against sentence-transformers, and alone or in company."""

from pathlib import Path

import numpy as np
import pytest

from build import fidelity
from server.model.manifest import PACKED, Precision
from server.model.tokenization import Tokenizer
from tests import tiny
from tests.build.folders import ASKED, build, described, same_as_source

EVERY = "fp32,fp16,int8,int8-static,fp32-cuda,fp16-cuda"
# Attention within a window has no packed kernel on CUDA.
WITHOUT_CUDA = {"modernbert": {"fp32", "fp16", "int8", "int8-static"}}
# ModernBERT's window is 4 to each side here: below, at and above it, at and around two chunks of 8.
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 63, 64, 64, 1)
# What int8's products of other shapes may round differently.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-6, "int8": 1e-5, "int8-static": 1e-5}


def _ids(models: Path) -> list[list[int]]:
    made = described(models)
    tokenizer = Tokenizer(models / made.tokenizer.file, made.max_tokens, {})
    words = tokenizer.encode([" ".join(ASKED)], "")[0].ids
    return [np.resize(words, length).tolist() for length in LENGTHS]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("architecture", ["albert", "electra", "megatron-bert", "modernbert"])
def test_every_variant(tmp_path: Path, architecture: str, pooling: str) -> None:
    # Random weights of 0.2 in layers that are all the same double every rounding error of int8.
    weights = {"initializer_range": 0.1} if architecture == "albert" else {}
    folder, models = tiny.snapshot(tmp_path / "source/tiny", architecture, pooling, **weights), tmp_path / "models"
    assert build(folder, models, "--precisions", EVERY) == 0
    same_as_source(folder, models)
    made = described(models)
    assert set(made.variants) == WITHOUT_CUDA.get(architecture, set(EVERY.split(",")))
    ids = _ids(models)
    for name, tolerance in TOLERANCE.items():
        variant = made.variants[name]
        assert PACKED in variant.passes

        def vectors(sequences: list[list[int]], path: Path = models / variant.file) -> np.ndarray:
            return fidelity.graph_vectors(path, made.dimension, sequences, packed=True, label="")

        together = vectors(ids)
        for sequence, vector in zip(ids, together, strict=True):
            assert vectors([sequence])[0] == pytest.approx(vector, abs=tolerance)


def test_long_texts_of_xlm_roberta(tmp_path: Path) -> None:
    """As BGE-M3: positions are counted from the padding id, so the table has two rows more than tokens are read."""
    size = {"hidden_size": 8, "num_attention_heads": 1, "intermediate_size": 8}
    source, models = tmp_path / "source/tiny", tmp_path / "models"
    folder = tiny.snapshot(source, "xlm-roberta", "cls", **size, max_position_embeddings=1026, pad_token_id=1)
    tiny.write_settings(folder, max_tokens=8192)
    assert build(folder, models) == 0
    made = described(models)
    assert made.max_tokens == 1024
    assert PACKED in made.variants["fp32"].passes
