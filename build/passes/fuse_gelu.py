"""Fuse the exporter's Gelu subgraphs into ORT's operators.

The exact form, 0.5 · x · (1 + erf(x / sqrt 2)), becomes `Gelu`. The approximation of `gelu_new` and
`gelu_pytorch_tanh`, 0.5 · x · (1 + tanh(sqrt(2 / pi) · (x + 0.044715 · x³))), becomes `FastGelu`.
"""

import math
from typing import Any

import onnx_ir as ir
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.pattern import RewriteRule

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import GELUS, MICROSOFT, module, name_after, require_opset


class FuseGeluPass(GraphPass):
    """Replace Div, Erf, Add, Mul, Mul with `Gelu`, and the approximation's eight nodes with `FastGelu`.

    BiasGelu would include the preceding bias, but on CPU it takes twice as long as Add and Gelu.
    """

    name = "fuse-gelu"

    def rewrite(self, model: ir.Model) -> int:
        """Fuse every Gelu."""
        rules = (RewriteRule(_exact, _fused), RewriteRule(_approximate, _fused_fast), RewriteRule(_cubed, _fused_fast))
        count: int = RewriteRuleSet(rules).apply_to_model(model)
        if not count:
            raise UnsupportedGraphError("the graph has no Gelu in one of the exporter's forms")
        name_after(model.graph, GELUS, lambda node: module(*node.inputs).rpartition("/")[0])
        require_opset(model, MICROSOFT)
        return count

    def ensures(self, model: ir.Model) -> None:
        """Check that no unfused Gelu is left."""
        for node in model.graph:
            if node.op_type == "Erf":
                raise ir.passes.PostconditionError(f"{node.name!r} was not fused")


def _exact(op: Any, x: ir.Value) -> ir.Value:  # noqa: ANN401
    return x * (op.Erf(x / math.sqrt(2)) + 1.0) * 0.5


def _approximate(op: Any, x: ir.Value) -> ir.Value:  # noqa: ANN401
    """Match `gelu_new`: the cube is a power."""
    return x * 0.5 * (op.Tanh((x + op.Pow(x, 3.0) * 0.044715) * math.sqrt(2 / math.pi)) + 1.0)


def _cubed(op: Any, x: ir.Value) -> ir.Value:  # noqa: ANN401
    """Match `gelu_pytorch_tanh`: the cube is two products."""
    cube = x * x * x
    return x * 0.5 * (op.Tanh((x + cube * 0.044715) * math.sqrt(2 / math.pi)) + 1.0)


def _fused(op: Any, x: ir.Value) -> ir.Value:  # noqa: ANN401
    return op.Gelu(x, _domain=MICROSOFT)


def _fused_fast(op: Any, x: ir.Value) -> ir.Value:  # noqa: ANN401
    return op.FastGelu(x, _domain=MICROSOFT)
