"""Make a CUDA graph runnable on CPU, to measure its fidelity without a GPU. Never shipped.

Only `PackedMultiHeadAttention` lacks a CPU kernel; it is replaced by attention over a padded view, built from the same
two tables that the CUDA kernel reads.
"""

import numpy as np
import onnx_ir as ir

from build.passes import GraphPass
from build.passes.attend_packed import PACKED_ATTENTION
from build.passes.graph import MICROSOFT, Scope, folder


class StandInPass(GraphPass):
    """Replace every packed attention with equivalent operators that have CPU kernels."""

    name = "stand-in"

    def requires(self, model: ir.Model) -> None:
        """Check that the graph has packed attention."""
        if not _packed(model.graph):
            raise ir.passes.PreconditionError("the graph has no packed attention")

    def rewrite(self, model: ir.Model) -> int:
        """Replace every packed attention; results are equal within rounding."""
        packed = _packed(model.graph)
        for node in packed:
            _replace(model.graph, node)
        model.graph.sort()
        return len(packed)

    def ensures(self, model: ir.Model) -> None:
        """Check that no packed attention is left."""
        for node in _packed(model.graph):
            raise ir.passes.PostconditionError(f"{node.name!r} was not replaced")


def _packed(graph: ir.Graph) -> list[ir.Node]:
    return [node for node in graph if node.op_type == PACKED_ATTENTION]


def _replace(graph: ir.Graph, node: ir.Node) -> None:
    *packed, _, offsets, bounds = node.inputs
    scope = Scope(graph, f"{folder(node)}/padded")
    places = _places(scope, packed[0], offsets)
    width = scope.op("Shape", packed[0], start=1, end=2)
    rows = scope.op("Concat", _size(scope, offsets), width, axis=0)
    shape = scope.op("Concat", scope.op("Shape", offsets), width, axis=0)
    zeros = scope.op("Expand", scope.op("CastLike", scope.constant("zero", np.zeros(1, np.int64)), packed[0]), rows)
    blocks = [scope.op("Reshape", scope.op("ScatterND", zeros, places, value), shape) for value in packed]
    heads = node.attributes["num_heads"].as_int()
    inputs = (*blocks, None, _mask(scope, bounds, offsets))
    block = scope.op("MultiHeadAttention", *inputs, domain=MICROSOFT, num_heads=heads)
    result = scope.op("GatherND", scope.op("Reshape", block, rows), places)
    result.name = node.outputs[0].name  # by which others know it
    node.outputs[0].replace_all_uses_with(result)
    graph.remove(node, safe=True)


def _places(scope: Scope, packed: ir.Value, offsets: ir.Value) -> ir.Value:
    """`[total, 1]`: the flat index of each packed row in the padded input."""
    flat = scope.op("Cast", scope.op("Reshape", offsets, scope.ints(-1)), to=ir.DataType.INT64)
    total = scope.op("Shape", packed, start=0, end=1)
    return scope.op("Unsqueeze", scope.op("Slice", flat, scope.ints(0), total), scope.ints(1))


def _size(scope: Scope, offsets: ir.Value) -> ir.Value:
    return scope.op("Unsqueeze", scope.op("Size", offsets), scope.ints(0))


def _mask(scope: Scope, bounds: ir.Value, offsets: ir.Value) -> ir.Value:
    """`[batch, sequence]`, int32: the mask, from the cumulative lengths `bounds`."""
    ends = scope.op("Slice", bounds, scope.ints(1), scope.constant("end", np.array([2**62])))
    lengths = scope.op("Sub", ends, scope.op("Slice", bounds, scope.ints(0), scope.ints(-1)))
    sequence = scope.op("Squeeze", scope.op("Shape", offsets, start=1, end=2))
    first, step = (scope.constant(name, np.array(number, np.int64)) for name, number in (("first", 0), ("step", 1)))
    columns = scope.op("Cast", scope.op("Range", first, sequence, step), to=ir.DataType.INT32)
    within = scope.op("Less", columns, scope.op("Unsqueeze", lengths, scope.ints(1)))
    return scope.op("Cast", within, to=ir.DataType.INT32)
