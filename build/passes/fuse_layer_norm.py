"""Fuse the nine nodes that exporters write for a LayerNorm below opset 17, where ONNX has no such operator."""

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.pattern import RewriteRule

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import scalar

_OPERATOR = "LayerNormalization"


class FuseLayerNormPass(GraphPass):
    """Replace ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul and Add with `LayerNormalization`."""

    name = "fuse-layer-norm"

    def needed(self, model: ir.Model) -> bool:
        """Whether the graph has a difference from its own mean."""
        for node in model.graph:
            mean = node.inputs[1].producer() if node.op_type == "Sub" and node.inputs[1] is not None else None
            if mean is not None and mean.op_type == "ReduceMean" and mean.inputs[0] is node.inputs[0]:
                return True
        return False

    def rewrite(self, model: ir.Model) -> int:
        """Fuse every LayerNorm over the last axis."""
        rule = RewriteRule(_pattern, _fused, _fits)
        count: int = RewriteRuleSet([rule]).apply_to_model(model)
        if not count:
            raise UnsupportedGraphError("the graph has no LayerNorm in the exporter's nine nodes")
        for node in model.graph:
            if node.op_type == _OPERATOR:
                module = (node.inputs[1].name or "").rpartition(".")[0]
                node.name = f"/{module.replace('.layer/', '.layer.').replace('.', '/')}/{_OPERATOR}"
        return count

    def ensures(self, model: ir.Model) -> None:
        """Check that no LayerNorm is left in parts."""
        if self.needed(model):
            raise ir.passes.PostconditionError("a LayerNorm was not fused")


def _pattern(  # noqa: PLR0913, PLR0917 - the variables of the subgraph
    op: Any,  # noqa: ANN401
    x: ir.Value,
    axis: ir.Value,
    other_axis: ir.Value,
    two: ir.Value,
    epsilon: ir.Value,
    scale: ir.Value,
    bias: ir.Value,
) -> ir.Value:
    centred = op.Sub(x, op.ReduceMean(x, axis))
    variance = op.ReduceMean(op.Pow(centred, two), other_axis)
    return op.Add(op.Mul(op.Div(centred, op.Sqrt(op.Add(variance, epsilon))), scale), bias)


def _fits(
    context: object,  # noqa: ARG001
    axis: ir.Value,
    other_axis: ir.Value,
    two: ir.Value,
    epsilon: ir.Value,
    **_: object,
) -> bool:
    over_the_last = scalar(axis) == scalar(other_axis) == -1
    return over_the_last and scalar(two) == 2 and scalar(epsilon) is not None


def _fused(op: Any, x: ir.Value, epsilon: ir.Value, scale: ir.Value, bias: ir.Value, **_: object) -> ir.Value:  # noqa: ANN401
    return op.LayerNormalization(x, scale, bias, axis=-1, epsilon=scalar(epsilon))
