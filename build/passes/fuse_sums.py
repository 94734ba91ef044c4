"""Fuse bias and residual additions into the following operator, for CUDA.

Each fusion saves one read and write of the activations. ONNX Runtime's own fusions need shape inference, which fails
after packed attention. On CPU the fused operators are slower.
"""

from dataclasses import dataclass, field

import onnx_ir as ir

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import GELUS, MICROSOFT, Scope, array, folder, only_consumer, require_opset

SKIP_NORM = "SkipLayerNormalization"
BIAS_GELU = "BiasGelu"
_TWO = 2


class FuseSumsPass(GraphPass):
    """Requires packed rows: residual operands have equal shapes, and a constant vector is a bias."""

    name = "fuse-sums"

    def requires(self, model: ir.Model) -> None:
        """Check that there is a sum to fuse."""
        if all(_sum(node) is None for node in model.graph):
            raise UnsupportedGraphError("no normalisation reads a residual sum, and no Gelu a bias")

    def rewrite(self, model: ir.Model) -> int:
        """Replace LayerNormalization of a sum and Gelu of a biased value; return the number of fusions."""
        graph = model.graph
        count = sum(_fuse(graph, node) for node in list(graph))
        graph.sort()
        require_opset(model, MICROSOFT)
        return count

    def ensures(self, model: ir.Model) -> None:
        """Check that no such sum is left."""
        for node in model.graph:
            if _sum(node) is not None:
                raise ir.passes.PostconditionError(f"the sum that {node.name!r} reads was not fused")


@dataclass
class _Sum:
    """The operands of a tree of Adds, and the Adds, which have no other consumers."""

    rows: list[ir.Value] = field(default_factory=list)
    biases: list[ir.Value] = field(default_factory=list)
    adds: list[ir.Node] = field(default_factory=list)


def _sum(node: ir.Node) -> _Sum | None:
    """Return the node's input sum if one operator can compute both; else None."""
    if node.op_type not in {"LayerNormalization", *GELUS}:
        return None
    terms = _Sum()
    _collect(node.inputs[0], terms)
    biased = len(terms.rows) == len(terms.biases) == 1
    return terms if (biased if node.op_type in GELUS else _is_residual(node, terms)) else None


def _fuse(graph: ir.Graph, node: ir.Node) -> bool:
    terms = _sum(node)
    if terms is None:
        return False
    scope = Scope(graph, folder(node))
    if node.op_type in GELUS:
        fused = scope.op(
            BIAS_GELU if node.op_type == "Gelu" else node.op_type, terms.rows[0], terms.biases[0], domain=MICROSOFT
        )
    else:
        epsilon = node.attributes.get_float("epsilon", 1e-5)
        inputs = (*terms.rows, *node.inputs[1:], *terms.biases)
        fused = scope.op(SKIP_NORM, *inputs, domain=MICROSOFT, epsilon=epsilon)
    fused.type = node.outputs[0].type
    node.outputs[0].replace_all_uses_with(fused)
    for done in (node, *terms.adds):
        graph.remove(done, safe=True)
    return True


def _is_residual(node: ir.Node, terms: _Sum) -> bool:
    """Return whether it normalises the last axis of two rows and at most one bias, with scale and shift."""
    last = node.attributes.get_int("axis", -1) == -1
    return last and len(terms.rows) == _TWO and len(terms.biases) <= 1 and len(node.inputs) == _TWO + 1


def _collect(value: ir.Value | None, terms: _Sum) -> None:
    """Descend through Adds with one consumer; constant vectors are biases, all other operands are rows."""
    if value is None:
        return
    node = value.producer()
    if node is not None and node.op_type == "Add" and only_consumer(value) is not None:
        terms.adds.append(node)
        for source in node.inputs:
            _collect(source, terms)
        return
    constant = array(value)
    (terms.rows if constant is None or constant.ndim != 1 else terms.biases).append(value)
