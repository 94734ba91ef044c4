"""Compute the last layer only for the [CLS] token that pooling reads.

Keys and values still need every token. The query, the output projection and the feed-forward network, ten twelfths of
the layer's work, shrink from one row per token to one per text.
"""

from dataclasses import dataclass

import onnx_ir as ir

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.fuse_attention import OPERATOR
from build.passes.graph import Scope, is_first_row, matrix, pooled

_PER_TOKEN = {"Add", "MatMul", "LayerNormalization", "Gelu"}


@dataclass(frozen=True)
class _LastLayer:
    """The last layer's token-wise nodes: the query projection, and `nodes` from attention to the output."""

    attention: ir.Node
    query: ir.Node
    nodes: list[ir.Node]

    @property
    def entering(self) -> ir.Value:
        """The layer's input."""
        return self.query.inputs[0]


class TrimLastLayerPass(GraphPass):
    """Move CLS pooling's selection of the first token from the end of the last layer to its start.

    With `every_query` it moves to just after attention, for kernels that need as many queries as keys.
    """

    name = "trim-last-layer"

    def __init__(self, *, every_query: bool = False) -> None:
        super().__init__()
        self._every_query = every_query

    def requires(self, model: ir.Model) -> None:
        """Check for CLS pooling and fused attention with separate projections."""
        _last_layer(model.graph)

    def rewrite(self, model: ir.Model) -> int:
        """Select the first token before the nodes of the last layer."""
        graph, last = model.graph, _last_layer(model.graph)
        scope = Scope(graph, "/pooling")
        if self._every_query:
            _take_first(scope, last.nodes, [last.entering, last.attention.outputs[0]])
        else:
            _take_first(scope, [last.query, *last.nodes], [last.entering])
            _trim_bias(last.attention, scope)
        graph.sort()
        return 1

    def ensures(self, model: ir.Model) -> None:
        """Check that the query, or with `every_query` the consumers of attention, read first tokens only."""
        last = _attentions(model.graph)[-1]
        entering = _projection(last.inputs[0]).inputs[0]
        chosen = last.outputs[0].consumers() if self._every_query else [entering.producer()]
        if any(node is None or not is_first_row(node) for node in chosen):
            raise ir.passes.PostconditionError(f"{last.name!r} is still read or asked for more than first tokens")


def _attentions(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if node.op_type == OPERATOR]


def _last_layer(graph: ir.Graph) -> _LastLayer:
    chosen, attentions = pooled(graph).producer(), _attentions(graph)
    if chosen is None or not is_first_row(chosen):
        raise ir.passes.PreconditionError("the pooling is not CLS")
    if not attentions:
        raise ir.passes.PreconditionError("no attention is fused")
    query = _projection(attentions[-1].inputs[0])
    nodes = _layer(chosen.inputs[0], {attentions[-1].outputs[0], query.inputs[0]})
    return _LastLayer(attentions[-1], query, nodes)


def _take_first(scope: Scope, nodes: list[ir.Node], values: list[ir.Value]) -> None:
    """Make the nodes read only the first token of these values, and clear their outdated shapes."""
    firsts = {value: scope.op("Gather", value, scope.ints(0), axis=1) for value in values}
    for node in nodes:
        for index, value in enumerate(node.inputs):
            if value in firsts:
                node.replace_input_with(index, firsts[value])
        for value in node.outputs:
            value.shape = None


def _projection(value: ir.Value | None) -> ir.Node:
    """Return the MatMul of a linear layer, given the output of its bias."""
    producer = value.producer() if value is not None else None
    sources = [source.producer() for source in producer.inputs if source is not None] if producer is not None else []
    for node in sources:
        if node is not None and matrix(node) is not None:
            return node
    raise UnsupportedGraphError(f"attention reads {value.name if value else 'nothing'!r}, not a linear layer")


def _layer(hidden: ir.Value | None, entries: set[ir.Value]) -> list[ir.Node]:
    """Return the nodes between attention and the layer's output, all token-wise."""
    members: list[ir.Node] = []
    pending = [hidden]
    while pending:
        value = pending.pop()
        node = value.producer() if value is not None and value not in entries else None
        if node is None or node in members:
            continue
        if node.op_type not in _PER_TOKEN:
            raise UnsupportedGraphError(f"the last layer holds {node.op_type} {node.name!r}, which may mix tokens")
        members.append(node)
        pending += node.inputs
    return members


def _trim_bias(attention: ir.Node, scope: Scope) -> None:
    """Slice the first query's row from a relative position bias, `[1, heads, sequence, sequence]`."""
    bias = attention.inputs[5] if len(attention.inputs) > 5 else None
    if bias is not None:
        attention.replace_input_with(5, scope.op("Slice", bias, scope.ints(0), scope.ints(1), scope.ints(2)))
