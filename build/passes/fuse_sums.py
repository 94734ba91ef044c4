"""Fuse what lies between the matrix products for CUDA: a bias and a residual sum into the operator that reads them.

Each saves reading and writing every token's row once more. ONNX Runtime would do it too, but only where it can infer
shapes, which it cannot behind packed attention. On CPU these operators are slower than what they replace.
"""

from dataclasses import dataclass, field

import onnx_ir as ir

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import MICROSOFT, Scope, array, folder, only_consumer, require_opset

SKIP_NORM = "SkipLayerNormalization"
BIAS_GELU = "BiasGelu"
_TWO = 2


class FuseSumsPass(GraphPass):
    """Needs packed rows: both sides of a residual sum have one shape, and a constant in it is a bias."""

    name = "fuse-sums"

    def requires(self, model: ir.Model) -> None:
        """There is such a sum."""
        if all(_sum(node) is None for node in model.graph):
            raise UnsupportedGraphError("no normalisation reads a residual sum, and no Gelu a bias")

    def rewrite(self, model: ir.Model) -> int:
        """Replace LayerNormalization of a sum, and Gelu of a sum with a bias; returns how many."""
        graph = model.graph
        count = sum(_fuse(graph, node) for node in list(graph))
        graph.sort()
        require_opset(model, MICROSOFT)
        return count

    def ensures(self, model: ir.Model) -> None:
        """No such sum is left apart."""
        for node in model.graph:
            if _sum(node) is not None:
                raise ir.passes.PostconditionError(f"the sum that {node.name!r} reads was not fused")


@dataclass
class _Sum:
    """What a tree of Adds adds up, and the Adds themselves, which nothing else reads."""

    rows: list[ir.Value] = field(default_factory=list)
    biases: list[ir.Value] = field(default_factory=list)
    adds: list[ir.Node] = field(default_factory=list)


def _sum(node: ir.Node) -> _Sum | None:
    """The sum that the node reads and one operator can compute with it."""
    if node.op_type not in {"LayerNormalization", "Gelu"}:
        return None
    found = _Sum()
    _collect(node.inputs[0], found)
    biased = len(found.rows) == len(found.biases) == 1
    return found if (biased if node.op_type == "Gelu" else _is_residual(node, found)) else None


def _fuse(graph: ir.Graph, node: ir.Node) -> bool:
    found = _sum(node)
    if found is None:
        return False
    scope = Scope(graph, folder(node))
    if node.op_type == "Gelu":
        fused = scope.op(BIAS_GELU, found.rows[0], found.biases[0], domain=MICROSOFT)
    else:
        epsilon = node.attributes.get_float("epsilon", 1e-5)
        inputs = (*found.rows, *node.inputs[1:], *found.biases)
        fused = scope.op(SKIP_NORM, *inputs, domain=MICROSOFT, epsilon=epsilon)
    fused.type = node.outputs[0].type
    node.outputs[0].replace_all_uses_with(fused)
    for done in (node, *found.adds):
        graph.remove(done, safe=True)
    return True


def _is_residual(node: ir.Node, found: _Sum) -> bool:
    """Whether it normalises the last axis of two rows' sum, with at most one bias, by a scale and a shift."""
    last = node.attributes.get_int("axis", -1) == -1
    return last and len(found.rows) == _TWO and len(found.biases) <= 1 and len(node.inputs) == _TWO + 1


def _collect(value: ir.Value | None, found: _Sum) -> None:
    """Go down the Adds that have one reader; a constant vector is a bias, whatever else is a row for each token."""
    if value is None:
        return
    node = value.producer()
    if node is not None and node.op_type == "Add" and only_consumer(value) is not None:
        found.adds.append(node)
        for source in node.inputs:
            _collect(source, found)
        return
    constant = array(value)
    (found.rows if constant is None or constant.ndim != 1 else found.biases).append(value)
