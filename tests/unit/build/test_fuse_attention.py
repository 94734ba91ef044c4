"""Fusing attention: structure, results, and masks and scales that must not match."""

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.fuse_attention import FuseAttentionPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import ARCHITECTURES, Exported, before, count, plain, texts


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_structure_and_numbers(exported: Exported, run: Run, architecture: str) -> None:
    unfused, after = (before(exported(architecture), "fuse-attention") for _ in range(2))
    assert apply(after, [FuseAttentionPass()]) == ["fuse-attention"]
    counts = count(after.graph)
    assert counts["MultiHeadAttention"] == 2
    assert not counts["Softmax"]
    sequences = texts(5, 1, 12, 7)
    np.testing.assert_allclose(run(after, sequences), run(unfused, sequences), atol=1e-6)


def test_nodes_are_named_by_their_module(exported: Exported) -> None:
    model = plain(exported("distilbert"))
    apply(model, [FuseAttentionPass()])
    names = [node.name for node in model.graph if node.op_type == "MultiHeadAttention"]
    assert names == [f"/transformer/layer.{layer}/attention/MultiHeadAttention" for layer in (0, 1)]


def test_tied_tensors_become_each_modules_own(exported: Exported) -> None:
    # A new model's biases are all zero, so the exporter stores one and shares it through Identity.
    model = plain(exported("bert"))
    assert count(model.graph)["Identity"]
    apply(model, [FuseAttentionPass()])
    assert not count(model.graph)["Identity"]
    assert "encoder.layer.1.output.dense.bias" in model.graph.initializers


def _refuses(model: ir.Model) -> None:
    with pytest.raises(UnsupportedGraphError, match="no attention in one of the forms"):
        apply(model, [FuseAttentionPass()])


@pytest.mark.parametrize("architecture", ["bert", "mpnet"])
def test_must_not_fire_on_another_scale(exported: Exported, architecture: str) -> None:
    model = plain(exported(architecture))
    divisions = [node for node in model.graph if node.op_type == "Div" and "/att" in (node.name or "")]
    for node in divisions:
        number, place = (2.0, 0) if architecture == "bert" else (3.0, 1)
        constant = ir.Value(name=f"{node.name}.other", const_value=ir.tensor(np.array(number, np.float32)))
        constant.const_value.name = constant.name
        model.graph.register_initializer(constant)
        node.replace_input_with(place, constant)
    assert divisions
    _refuses(model)


def test_must_not_fire_when_the_mask_reads_the_ids(exported: Exported) -> None:
    model = plain(exported("bert"))
    ids, mask = model.graph.inputs
    mask.replace_all_uses_with(ids)
    _refuses(model)
