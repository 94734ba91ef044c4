"""Store once what several layers have in common, as all layers of ALBERT.

The other passes need a copy for each layer, which they may change apart from the others.
"""

import onnx_ir as ir

from build.passes import GraphPass

_MATRIX = 2


class ShareWeightsPass(GraphPass):
    """Replace weights that are still the same tensor by the first of them; the last pass before saving."""

    name = "share-weights"

    def needed(self, model: ir.Model) -> bool:
        """Whether several layers have the same weight."""
        return bool(_copies(model.graph))

    def rewrite(self, model: ir.Model) -> int:
        """Replace every copy; return their number."""
        copies = _copies(model.graph)
        for copy, first in copies.items():
            copy.replace_all_uses_with(first)
            del model.graph.initializers[copy.name]
        return len(copies)

    def ensures(self, model: ir.Model) -> None:
        """Check that no copy is left."""
        for copy in _copies(model.graph):
            raise ir.passes.PostconditionError(f"{copy.name!r} is stored a second time")


def _copies(graph: ir.Graph) -> dict[ir.Value, ir.Value]:
    """Return every value that has the same tensor as an earlier one, with that one."""
    firsts: dict[int, ir.Value] = {}
    copies: dict[ir.Value, ir.Value] = {}
    for value in graph.initializers.values():
        tensor = value.const_value
        if tensor is None or len(tensor.shape) < _MATRIX:
            continue
        first = firsts.setdefault(id(tensor), value)
        if first is not value:
            copies[value] = first
    return copies
