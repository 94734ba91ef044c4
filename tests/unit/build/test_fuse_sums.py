"""Fusing sums for CUDA: equal results, and other sums must not match."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.fuse_sums import FuseSumsPass
from build.passes.packing import cuda_passes
from build.passes.stand_in import StandInPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import MEAN, Exported, count, plain, texts


def unfused(path: object) -> ir.Model:
    """Return the graph for CUDA before its sums are fused."""
    model = plain(path)  # type: ignore[arg-type]
    apply(model, [step for step in cuda_passes(MEAN) if step.name != FuseSumsPass.name])
    return model


def test_structure_and_numbers(exported: Exported, run: Run) -> None:
    apart, fused = (unfused(exported("bert")) for _ in range(2))
    assert apply(fused, [FuseSumsPass()]) == ["fuse-sums"]
    counts = count(fused.graph)
    assert (counts["SkipLayerNormalization"], counts["BiasGelu"], counts["Add"]) == (5, 2, 2)
    for model in (apart, fused):
        apply(model, [StandInPass()])
    np.testing.assert_allclose(run(fused, texts(5, 1, 12)), run(apart, texts(5, 1, 12)), atol=1e-6)


def test_the_bias_before_a_residual_sum_is_the_operator_s_fifth_input(exported: Exported) -> None:
    model = unfused(exported("bert"))
    apply(model, [FuseSumsPass()])
    layer = next(node for node in model.graph if "layer.0/output/LayerNorm" in node.name)
    assert [value.name for value in layer.inputs[2:]] == [
        "encoder.layer.0.output.LayerNorm.weight",
        "encoder.layer.0.output.LayerNorm.bias",
        "encoder.layer.0.output.dense.bias",
    ]
    assert layer.attributes["epsilon"].as_float() == pytest.approx(1e-12)


def _another_axis(node: ir.Node) -> None:
    node.attributes["axis"] = ir.AttrInt64("axis", 0)


def _second_reader(node: ir.Node) -> None:
    node.graph.append(ir.node("Identity", [node.inputs[0]], name="/reader"))


@pytest.mark.parametrize("spoil", [_another_axis, _second_reader])
def test_must_not_fire(exported: Exported, spoil: Callable[[ir.Node], None]) -> None:
    model = unfused(exported("bert"))
    for node in list(model.graph):
        if node.op_type in {"LayerNormalization", "Gelu"}:
            spoil(node)
    for node in list(model.graph):
        if node.op_type == "Gelu":
            node.op_type, node.domain = "Relu", ""
    with pytest.raises(UnsupportedGraphError, match="no normalisation reads a residual sum"):
        apply(model, [FuseSumsPass()])
