"""Sort texts by length inside the graph, so that texts of equal length are adjacent."""

import onnx_ir as ir

from build.passes import GraphPass
from build.passes.fuse_attention import MASK
from build.passes.graph import Scope, folder, graph_input

_IDS = "input_ids"
_PATH = "/sorting"


class SortTextsPass(GraphPass):
    """Sort the inputs by length and restore the caller's order in the output.

    Padding-free attention computes adjacent texts of equal length together; with sorted texts its loop runs once per
    distinct length instead of up to once per text.
    """

    name = "sort-texts"

    def requires(self, model: ir.Model) -> None:
        """Check that ids and mask are inputs."""
        for name in (_IDS, MASK):
            graph_input(model.graph, name)

    def rewrite(self, model: ir.Model) -> int:
        """Sort all inputs along their first axis, the batch."""
        graph = model.graph
        scope = Scope(graph, _PATH)
        readers = {name: graph_input(graph, name).uses() for name in (_IDS, MASK)}
        order = _order(scope, scope.op("ReduceSum", graph_input(graph, MASK), scope.ints(1), keepdims=0))
        for name, uses in readers.items():
            in_order = scope.op("Gather", graph_input(graph, name), order)
            for node, index in uses:
                node.replace_input_with(index, in_order)
        unit = graph.outputs[0]
        restored = scope.op("Gather", unit, _order(scope, order))
        restored.name, unit.name = unit.name, f"{unit.name}_by_length"
        restored.type, restored.shape = unit.type, unit.shape
        graph.outputs[:] = [restored]
        graph.sort()
        return len(readers)

    def ensures(self, model: ir.Model) -> None:
        """Check that only the sorting nodes read the inputs."""
        for value in model.graph.inputs:
            for node in value.consumers():
                if folder(node) != _PATH:
                    raise ir.passes.PostconditionError(f"{node.name!r} reads {value.name!r} unsorted")


def _order(scope: Scope, keys: ir.Value) -> ir.Value:
    """Return the ascending argsort of the keys, both `[batch]`."""
    every = scope.op("Shape", keys)
    return scope.ops(2, "TopK", keys, every, largest=0)[1]
