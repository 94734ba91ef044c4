"""Prompt tokens that are not pooled: their ids arrive as `-1 - id`, and the encoder reads them as `id`.

The ids alone still determine the vector, so that caching and deduplication by ids stay correct.
"""

import onnx_ir as ir

from build.passes import GraphPass
from build.passes.fuse_attention import MASK
from build.passes.graph import Scope, graph_input

_IDS = "input_ids"
_PATH = "/prompt"


class MarkPromptPass(GraphPass):
    """Decode negative ids before the encoder reads them."""

    name = "mark-prompt"

    def requires(self, model: ir.Model) -> None:
        """The graph has token ids as input, and does not decode them yet."""
        if any((node.name or "").startswith(f"{_PATH}/") for node in graph_input(model.graph, _IDS).consumers()):
            raise ir.passes.PreconditionError("the graph knows a prompt's ids already")

    def rewrite(self, model: ir.Model) -> int:
        """Replace every use of the ids by the decoded ids."""
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
    """Return the mask without marked tokens, `[batch, sequence]`."""
    scope = Scope(graph, _PATH)
    own = scope.op("Cast", scope.op("Greater", graph_input(graph, _IDS), scope.ints(-1)), to=ir.DataType.INT64)
    return scope.op("Mul", graph_input(graph, MASK), own)
