"""Compute the last layer only for the token that CLS pooling reads.

Its keys and values still come from every token; its query, its output projection and its feed-forward network,
ten twelfths of the layer's work, shrink from a row per token to a row per text.
"""

import onnx_ir as ir

from build.errors import BuildError
from build.passes import GraphPass
from build.passes.fuse_attention import OPERATOR
from build.passes.graph import Scope, is_first_row, matrix, pooled

_PER_TOKEN = {"Add", "MatMul", "LayerNormalization", "Gelu"}


class TrimLastLayerPass(GraphPass):
    """Move CLS pooling's choice of the first token from the end of the last layer to its start.

    With `every_query` it moves only to behind attention, for kernels that take as many queries as keys.
    """

    name = "trim-last-layer"

    def __init__(self, *, every_query: bool = False) -> None:
        super().__init__()
        self._every_query = every_query

    def rewrite(self, model: ir.Model) -> int:
        """Needs the attention fused and its three projections apart; 0 when the pooling is not CLS."""
        graph = model.graph
        chosen = pooled(graph).producer()
        attentions = [node for node in graph if node.op_type == OPERATOR]
        if chosen is None or not is_first_row(chosen) or not attentions:
            return 0
        last = attentions[-1]
        query = _projection(last.inputs[0])
        entering = query.inputs[0]
        layer = _layer(chosen.inputs[0], {last.outputs[0], entering})
        scope = Scope(graph, "/pooling")
        if self._every_query:
            _take_first(scope, layer, [entering, last.outputs[0]])
        else:
            _take_first(scope, [query, *layer], [entering])
            _trim_bias(last, scope)
        graph.sort()
        return 1


def _take_first(scope: Scope, nodes: list[ir.Node], values: list[ir.Value]) -> None:
    """Let the nodes read the first token's row of these values, and forget that they had a row per token."""
    firsts = {value: scope.op("Gather", value, scope.ints(0), axis=1) for value in values}
    for node in nodes:
        for index, value in enumerate(node.inputs):
            if value in firsts:
                node.replace_input_with(index, firsts[value])
        for value in node.outputs:
            value.shape = None


def _projection(value: ir.Value | None) -> ir.Node:
    """The MatMul of a linear layer, from the value after its bias."""
    producer = value.producer() if value is not None else None
    sources = [source.producer() for source in producer.inputs if source is not None] if producer is not None else []
    for node in sources:
        if node is not None and matrix(node) is not None:
            return node
    raise BuildError(f"attention reads {value.name if value else 'nothing'!r}, not a linear layer")


def _layer(hidden: ir.Value | None, entries: set[ir.Value]) -> list[ir.Node]:
    """The nodes between the layer's attention and its output, all of which work token by token."""
    found: list[ir.Node] = []
    pending = [hidden]
    while pending:
        value = pending.pop()
        node = value.producer() if value is not None and value not in entries else None
        if node is None or node in found:
            continue
        if node.op_type not in _PER_TOKEN:
            raise BuildError(f"the last layer holds {node.op_type} {node.name!r}, which may mix tokens")
        found.append(node)
        pending += node.inputs
    return found


def _trim_bias(attention: ir.Node, scope: Scope) -> None:
    """Keep the first query's row of a bias by relative position, `[1, heads, sequence, sequence]`."""
    bias = attention.inputs[5] if len(attention.inputs) > 5 else None
    if bias is not None:
        attention.replace_input_with(5, scope.op("Slice", bias, scope.ints(0), scope.ints(1), scope.ints(2)))
