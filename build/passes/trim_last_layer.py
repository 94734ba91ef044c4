"""Compute the last layer only for the [CLS] token that pooling reads.

Keys and values still need every token. The query, the output projection and the feed-forward network, ten twelfths of
the layer's work, shrink from one row per token to one per text.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.fuse_attention import OPERATOR
from build.passes.fuse_rotary import ROTARY
from build.passes.graph import PER_TOKEN, Scope, ancestors, is_constant, is_first_row, matrix, numbers, pooled

_PER_TOKEN = PER_TOKEN | {"MatMul"}


@dataclass(frozen=True)
class _LastLayer:
    """The last layer's attention, its query projection, and the token-wise `nodes` from attention to the output."""

    attention: ir.Node
    query: ir.Node
    nodes: list[ir.Node]


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
        """Select the first token before the nodes of the last layer.

        Raises:
            UnsupportedGraphError: the first token's rotary position is not that of no rotation.
        """
        graph, last = model.graph, _last_layer(model.graph)
        scope = Scope(graph, "/pooling")
        if self._every_query:
            _take_first(scope, last.nodes, _entries(last.nodes))
        else:
            _skip_rotary(last.attention)
            query = [*_path(last.attention.inputs[0], last.query), last.query]
            entries = _entries([*query, *last.nodes])
            entries.remove(last.attention.outputs[0])
            _take_first(scope, [*query, *last.nodes], entries)
            _trim_bias(last.attention, scope)
        graph.sort()
        return 1

    def ensures(self, model: ir.Model) -> None:
        """Check that the query, or with `every_query` the consumers of attention, read first tokens only."""
        last = _attentions(model.graph)[-1]
        chosen = last.outputs[0].consumers()
        if not self._every_query:
            chosen = [_projection(last.inputs[0]).inputs[0].producer()]
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
    last = attentions[-1]
    return _LastLayer(last, _projection(last.inputs[0]), _layer(chosen.inputs[0], last))


def _take_first(scope: Scope, nodes: list[ir.Node], values: list[ir.Value]) -> None:
    """Make the nodes read only the first token of these values, and clear their outdated shapes."""
    firsts = {value: scope.op("Gather", value, scope.ints(0), axis=1) for value in values}
    for node in nodes:
        for index, value in enumerate(node.inputs):
            if value in firsts:
                node.replace_input_with(index, firsts[value])
        for value in node.outputs:
            value.shape = None


def _entries(nodes: list[ir.Node]) -> list[ir.Value]:
    """Return what `nodes` read of others, constants excluded: the layer's input, and attention's output."""
    read = [value for node in nodes for value in node.inputs if value is not None and not is_constant(value)]
    return list(dict.fromkeys(value for value in read if value.producer() not in nodes))


def _projection(value: ir.Value | None) -> ir.Node:
    """Return the MatMul of a linear layer, given its output, with or without a bias and rotary positions."""
    producer = value.producer() if value is not None else None
    if producer is not None and producer.op_type == ROTARY:
        return _projection(producer.inputs[0])
    if producer is not None and matrix(producer) is not None:
        return producer
    sources = [source.producer() for source in producer.inputs if source is not None] if producer is not None else []
    for node in sources:
        if node is not None and matrix(node) is not None:
            return node
    raise UnsupportedGraphError(f"attention reads {value.name if value else 'nothing'!r}, not a linear layer")


def _path(value: ir.Value | None, start: ir.Node) -> list[ir.Node]:
    """Return the node between a projection and attention, its bias's Add, if there is one."""
    producer = value.producer() if value is not None else None
    return [] if producer is None or producer is start else [producer]


def _skip_rotary(attention: ir.Node) -> None:
    """Remove the rotation of the query, which is none at position 0."""
    node = attention.inputs[0].producer()
    if node is None or node.op_type != ROTARY:
        return
    cos, sin = (numbers(table)[0].astype(np.float64) for table in node.inputs[2:4])
    if not ((cos == 1).all() and (sin == 0).all()):
        raise UnsupportedGraphError(f"{node.name!r} rotates the first token, too")
    attention.replace_input_with(0, node.inputs[0])
    attention.graph.remove(node, safe=True)


def _layer(hidden: ir.Value | None, attention: ir.Node) -> list[ir.Node]:
    """Return the nodes between attention and the layer's output, all token-wise."""
    before = {value.producer() for value in ancestors(attention.outputs[0])}
    members: list[ir.Node] = []
    pending = [hidden]
    while pending:
        value = pending.pop()
        node = value.producer() if value is not None and not is_constant(value) else None
        if node is None or node in members or node in before:
            continue
        if node.op_type not in _PER_TOKEN:
            raise UnsupportedGraphError(f"the last layer holds {node.op_type} {node.name!r}, which may mix tokens")
        members.append(node)
        pending += node.inputs
    return members


def _trim_bias(attention: ir.Node, scope: Scope) -> None:
    """Slice the first query's row from what is added to the scores, `[1, heads, sequence, sequence]`."""
    bias = attention.inputs[5] if len(attention.inputs) > 5 else None
    if bias is not None:
        attention.replace_input_with(5, scope.op("Slice", bias, scope.ints(0), scope.ints(1), scope.ints(2)))
