"""Fusing rotary positions: structure, results, and rotations of other pairs."""

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.fuse_rotary import FuseRotaryPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import Exported, before, count, plain, texts


def test_structure_and_numbers(exported: Exported, run: Run) -> None:
    unfused, fused = (before(exported("modernbert"), "fuse-rotary") for _ in range(2))
    assert apply(fused, [FuseRotaryPass()]) == ["fuse-rotary"]
    counts = count(fused.graph)
    assert counts["RotaryEmbedding"] == 4  # query and key of two layers
    assert not counts["Neg"]
    sequences = texts(5, 1, 12, 7)
    np.testing.assert_allclose(run(fused, sequences), run(unfused, sequences), atol=1e-6)


def test_nodes_are_named_by_their_module(exported: Exported) -> None:
    model = before(exported("modernbert"), "fuse-attention")
    names = {node.name for node in model.graph if node.op_type == "RotaryEmbedding"}
    assert names == {f"/layers.{layer}/attn/{part}/RotaryEmbedding" for layer in (0, 1) for part in ("query", "key")}


def test_a_model_without_rotary_positions_is_left_alone(exported: Exported) -> None:
    assert apply(plain(exported("bert")), [FuseRotaryPass()]) == []


def test_must_not_fire_on_other_pairs(exported: Exported) -> None:
    model = before(exported("modernbert"), "fuse-rotary")
    for node in [node for node in model.graph if node.op_type == "Neg"]:
        node.op_type = "Identity"
    with pytest.raises(UnsupportedGraphError, match="rotates other pairs"):
        apply(model, [FuseRotaryPass()])


def test_same_table_for_all_layers_of_one_kind(exported: Exported) -> None:
    model = before(exported("modernbert"), "fuse-attention")
    rotations = [node for node in model.graph if node.op_type == "RotaryEmbedding"]
    by_layer: dict[str, set[ir.Value]] = {}
    for node in rotations:
        by_layer.setdefault((node.name or "").split("/")[1], set()).update(node.inputs[1:])
    assert {len(values) for values in by_layer.values()} == {3}
