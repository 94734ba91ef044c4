"""The complete padding-free rewrite: equal vectors for every architecture, independent of the batch."""

from pathlib import Path
from random import Random

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build.exporters.optimum_onnx import run_optimum
from build.passes import UnsupportedGraphError, apply
from build.passes.packing import packing_passes
from build.pooling import Pooling
from build.sources import folder
from tests import tiny
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import (
    ARCHITECTURES,
    CLS,
    LONGEST,
    MEAN,
    PRODUCTS,
    SIDE_BY_SIDE,
    Exported,
    count,
    packed,
    plain,
    texts,
)

BATCHES = {
    "mixed": [5, 1, 12, 7, 7, 1, 30],
    "equal": [8] * 4,
    "alone": [9],
    "one token": [1],
    "one token each": [1, 1, 1],
    "longest": [LONGEST],
    "longest and shortest": [LONGEST, 1, LONGEST],
}


@pytest.mark.parametrize("pooling", [CLS, MEAN, SIDE_BY_SIDE], ids=lambda pooling: pooling.name)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_equals_plain(exported: Exported, run: Run, architecture: str, pooling: Pooling) -> None:
    expected, rewritten = plain(exported(architecture), pooling), packed(exported(architecture), pooling)
    for lengths in BATCHES.values():
        sequences = texts(*lengths)
        assert run(rewritten, sequences) == pytest.approx(run(expected, sequences), abs=1e-6)


def test_512_tokens(tmp_path: Path, run: Run) -> None:
    source = folder.read(tiny.snapshot(tmp_path / "tiny", "bert", max_position_embeddings=512))
    run_optimum(source, tmp_path)
    expected, rewritten = plain(tmp_path / "model.onnx"), packed(tmp_path / "model.onnx")
    sequences = texts(512, 3, 512)
    assert run(rewritten, sequences) == pytest.approx(run(expected, sequences), abs=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_structure(exported: Exported, architecture: str) -> None:
    model = packed(exported(architecture), CLS)
    assert [value.name for value in model.graph.inputs] == ["input_ids", "attention_mask"]
    assert [value.name for value in model.graph.outputs] == ["sentence_embedding"]
    counts = count(model.graph)
    assert counts["If"] == counts["Loop"] == counts["Gelu"] + counts["FastGelu"] == 2
    # Per layer: for texts of one length, and in the loop over groups.
    assert counts["MultiHeadAttention"] == 4
    assert counts["MatMul"] == PRODUCTS[architecture]
    assert not counts["Softmax"] + counts["ScatterND"]
    onnx.checker.check_model(ir.to_proto(model))


def test_names_read_as_module_paths(exported: Exported) -> None:
    model = packed(exported("bert"))
    assert {"/encoder/layer.0/attention/output/dense/MatMul", "/encoder/layer.1/intermediate/Gelu"} <= {
        node.name for node in model.graph
    }
    names = [node.name for node in model.graph.all_nodes() if node.op_type != "Constant"]
    assert all(name.startswith("/") for name in names)
    assert len(set(names)) == len(names)
    weights = {"encoder.layer.0.attention.self.query.weight", "encoder.layer.1.output.dense.weight"}
    assert weights <= set(model.graph.initializers)


def test_same_bytes_every_time(exported: Exported) -> None:
    first, second = (ir.to_proto(packed(exported("mpnet"))).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_must_not_fire_on_another_architecture(exported: Exported) -> None:
    model = plain(exported("bert"))
    for node in model.graph:
        if node.op_type == "Softmax":
            node.op_type = "Hardmax"
    with pytest.raises(UnsupportedGraphError, match=r"no attention in one of the forms.*pass 'fuse-attention'"):
        apply(model, packing_passes(MEAN))


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=9), order=st.randoms(use_true_random=False))
def test_a_vector_depends_neither_on_neighbours_nor_on_order(
    exported: Exported, run: Run, lengths: list[int], order: Random
) -> None:
    model, sequences = packed(exported("bert")), texts(*lengths)
    together = run(model, sequences)
    shuffled = list(range(len(sequences)))
    order.shuffle(shuffled)
    assert run(model, [sequences[place] for place in shuffled]) == pytest.approx(together[shuffled], abs=1e-6)
    for vector, sequence in zip(together, sequences, strict=True):
        assert run(model, [sequence])[0] == pytest.approx(vector, abs=1e-6)
