"""Replace the computation of rotary positions' cosines and sines by tables of the values that it gives.

In fp16 the exporter's products of positions and frequencies would lose all precision after a few hundred tokens. The
tables are shared by all layers with the same frequencies.
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import Scope, graph_input, value_inputs
from build.passes.probe import Numbers, probe

_PATH = "/rotary"


class TabulateRotaryPass(GraphPass):
    """Requires positions that count the tokens from 0; `max_tokens` is the number of rows."""

    name = "tabulate-rotary"

    def __init__(self, max_tokens: int) -> None:
        super().__init__()
        self._max_tokens = max_tokens

    def needed(self, model: ir.Model) -> bool:
        """Whether the graph computes cosines."""
        return bool(_waves(model.graph))

    def requires(self, model: ir.Model) -> None:
        """Check that the cosines and sines depend on the length alone."""
        for node in _waves(model.graph):
            if value_inputs(node.outputs[0]):
                raise UnsupportedGraphError(f"{node.op_type} {node.name!r} depends on more than the number of tokens")

    def rewrite(self, model: ir.Model) -> int:
        """Compute every table for the longest text and slice it to the length of the batch."""
        graph, waves = model.graph, _waves(model.graph)
        scope, ids = Scope(graph, _PATH), graph_input(model.graph, "input_ids")
        given = {ids: np.zeros((1, self._max_tokens), np.int64)}
        if any(value.name == "attention_mask" for value in graph.inputs):
            given[graph_input(graph, "attention_mask")] = np.ones((1, self._max_tokens), np.int64)
        length = scope.op("Shape", ids, start=1, end=2)
        made: dict[bytes, ir.Value] = {}
        for node, table in zip(waves, probe(model, given, [node.outputs[0] for node in waves]), strict=True):
            key = table.tobytes()
            if key not in made:
                made[key] = self._slice(scope, f"{node.op_type.lower()}.{len(made)}", table, length)
            node.outputs[0].replace_all_uses_with(made[key])
        graph.sort()
        RemoveUnusedNodesPass()(model)
        return len(waves)

    def ensures(self, model: ir.Model) -> None:
        """Check that nothing is computed with waves any more."""
        for node in _waves(model.graph):
            raise ir.passes.PostconditionError(f"{node.name!r} was not replaced")

    def _slice(self, scope: Scope, name: str, table: Numbers, length: ir.Value) -> ir.Value:
        if table.ndim != 3 or table.shape[:2] != (1, self._max_tokens):
            raise UnsupportedGraphError(f"the positions' table has the shape {list(table.shape)}")
        constant = scope.constant(name, table)
        sliced = scope.op("Slice", constant, scope.ints(0), length, scope.ints(1))
        sliced.type = ir.TensorType(ir.DataType.FLOAT)
        return sliced


def _waves(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if node.op_type in {"Cos", "Sin"}]
