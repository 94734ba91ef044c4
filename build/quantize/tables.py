"""Embedding tables as int8 rows with a scale each: a quarter of the memory, and no row depends on another."""

import numpy as np
import onnx_ir as ir

from build.passes.graph import Scope, folder, is_constant, numbers
from build.quantize.weights import quantize

_LARGE = 1 << 20
"""Elements from which on a table is worth it; position tables stay in fp32."""


def quantize_tables(graph: ir.Graph) -> int:
    """Round every large table that tokens are looked up in; how many there were."""
    found = [node for node in graph if _is_large_lookup(node)]
    for node in found:
        _rewrite(graph, node)
    graph.sort()
    return len(found)


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
