"""Replace the computation of rotary positions' cosines and sines by tables of the values that it gives.

In fp16 the exporter's products of positions and frequencies would lose all precision after a few hundred tokens. The
tables are shared by all layers with the same frequencies.
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from build.passes import GraphPass
from build.passes.graph import Scope, graph_input, value_inputs
from build.passes.probe import Numbers, probe

_PATH, _IDS, _MASK = "/rotary", "input_ids", "attention_mask"


class TabulateRotaryPass(GraphPass):
    """Tabulate what depends on the length alone, for positions counted from 0; `max_tokens` is the number of rows."""

    name = "tabulate-rotary"

    def __init__(self, max_tokens: int) -> None:
        super().__init__()
        self._max_tokens = max_tokens

    def needed(self, model: ir.Model) -> bool:
        """Whether the graph computes cosines or sines of positions."""
        return bool(self._tables(model))

    def rewrite(self, model: ir.Model) -> int:
        """Compute every table for the longest text and slice it to the length of the batch."""
        graph, tables = model.graph, self._tables(model)
        scope = Scope(graph, _PATH)
        length = scope.op("Shape", graph_input(graph, _IDS), start=1, end=2)
        made: dict[bytes, ir.Value] = {}
        for node, table in tables.items():
            key = table.tobytes()
            if key not in made:
                made[key] = self._slice(scope, f"{node.op_type.lower()}.{len(made)}", table, length)
            node.outputs[0].replace_all_uses_with(made[key])
        graph.sort()
        RemoveUnusedNodesPass()(model)
        return len(tables)

    def _tables(self, model: ir.Model) -> dict[ir.Node, Numbers]:
        """Return the values of every cosine and sine that depends on the length alone."""
        waves = [node for node in model.graph if node.op_type in {"Cos", "Sin"} and not value_inputs(node.outputs[0])]
        shape = (1, self._max_tokens)
        given: dict[ir.Value, Numbers] = {
            graph_input(model.graph, _IDS): np.zeros(shape, np.int64),
            graph_input(model.graph, _MASK): np.ones(shape, np.int64),
        }
        tables = probe(model, given, [node.outputs[0] for node in waves]) if waves else []
        return {node: table for node, table in zip(waves, tables, strict=True) if self._max_tokens in table.shape}

    def _slice(self, scope: Scope, name: str, table: Numbers, length: ir.Value) -> ir.Value:
        axis = table.shape.index(self._max_tokens)
        sliced = scope.op("Slice", scope.constant(name, table), scope.ints(0), length, scope.ints(axis))
        sliced.type = ir.TensorType(ir.DataType.FLOAT)
        return sliced
