"""Quantize embedding tables to int8 with a scale per row, for a quarter of the memory."""

import numpy as np
import onnx_ir as ir

from build.passes.graph import Scope, folder, is_constant, numbers
from build.quantize.weights import quantize

_LARGE = 1 << 20
"""Minimum number of elements to quantize a table; position tables are smaller and stay in fp32."""


def quantize_tables(graph: ir.Graph) -> int:
    """Quantize every large embedding table; return their number."""
    lookups = [node for node in graph if _is_large_lookup(node)]
    for node in lookups:
        _rewrite(graph, node)
    graph.sort()
    return len(lookups)


def _is_large_lookup(node: ir.Node) -> bool:
    table = node.inputs[0] if node.op_type == "Gather" else None
    if table is None or not is_constant(table) or table.dtype != ir.DataType.FLOAT or table.shape is None:
        return False
    return len(table.shape) == 2 and int(table.shape[0]) * int(table.shape[1]) >= _LARGE


def _rewrite(graph: ir.Graph, node: ir.Node) -> None:
    table, ids = node.inputs
    name, rows = table.name, quantize(numbers(table).astype(np.float32, copy=False).T)
    scope = Scope(graph, folder(node))
    result = node.outputs[0]
    node.replace_input_with(0, None)
    del graph.initializers[name]
    values = scope.op("Cast", scope.op("Gather", scope.weight(name, rows.values.T), ids), to=ir.DataType.FLOAT)
    scale = scope.op("Gather", scope.weight(f"{name}_scale", rows.scale[:, None]), ids)
    result.replace_all_uses_with(scope.op("Mul", values, scale))
    graph.remove(node, safe=True)
