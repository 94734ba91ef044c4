"""Prompt tokens that pooling leaves out: they come as `-1 - id`, and are computed like all others.

So the token ids alone still decide a text's vector: the server caches by them, and computes equal ones once.
"""

import onnx_ir as ir

from build.passes import GraphPass
from build.passes.fuse_attention import MASK
from build.passes.graph import Scope, graph_input

_IDS = "input_ids"
_PATH = "/prompt"


class MarkPromptPass(GraphPass):
    """Read ids below zero as those of a prompt."""

    name = "mark-prompt"

    def requires(self, model: ir.Model) -> None:
        """The graph takes ids, and takes them as they are."""
        if any((node.name or "").startswith(f"{_PATH}/") for node in graph_input(model.graph, _IDS).consumers()):
            raise ir.passes.PreconditionError("the graph knows a prompt's ids already")

    def rewrite(self, model: ir.Model) -> int:
        """Put the model's own ids before every node that reads ids."""
        graph = model.graph
        ids = graph_input(graph, _IDS)
        uses = list(ids.uses())
        scope = Scope(graph, _PATH)
        own = scope.op("Max", ids, scope.op("Sub", scope.ints(-1), ids))
        for node, index in uses:
            node.replace_input_with(index, own)
        graph.sort()
        return len(uses)


def of_texts(graph: ir.Graph) -> ir.Value:
    """`[batch, sequence]`: the mask without a prompt's tokens, in a graph that knows their ids."""
    scope = Scope(graph, _PATH)
    own = scope.op("Cast", scope.op("Greater", graph_input(graph, _IDS), scope.ints(-1)), to=ir.DataType.INT64)
    return scope.op("Mul", graph_input(graph, MASK), own)
