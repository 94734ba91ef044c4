"""Attention and pooling over packed tokens with ONNX Runtime's CUDA operators.

`PackedMultiHeadAttention` has no CPU kernel. In fp16, with compute capability 8.0 or higher, it runs FlashAttention
over variable-length texts, and reads separate query, key and value without bias in place. In fp32 it pads.
"""

import numpy as np
import onnx_ir as ir

from build.passes import UnsupportedGraphError
from build.passes.attend import Attention
from build.passes.cuda_layout import CudaLayout
from build.passes.graph import MICROSOFT, Scope, folder
from build.passes.max_rows import max_rows

PACKED_ATTENTION = "PackedMultiHeadAttention"


def attend_packed(graph: ir.Graph, layout: CudaLayout, attention: Attention) -> ir.Value:
    """Add the attention and return its result, with one row per token.

    Raises:
        UnsupportedGraphError: this kind of attention has no packed kernel.
        PreconditionError: the last layer was trimmed to a single query, which no packed kernel supports.
    """
    if attention.bias is not None:
        raise UnsupportedGraphError(f"{attention.node.name!r} has a bias by position: no CUDA kernel packs that")
    if attention.window is not None:
        raise UnsupportedGraphError(f"{attention.node.name!r} attends within a window: no CUDA kernel packs that")
    if attention.first_only:
        raise ir.passes.PreconditionError(f"{attention.node.name!r} has a single query: no CUDA kernel packs that")
    inputs = (attention.query, attention.key, attention.value, None, layout.offsets, layout.bounds)
    scope = Scope(graph, folder(attention.node))
    return scope.op(PACKED_ATTENTION, *inputs, domain=MICROSOFT, num_heads=attention.heads)


def mean_packed(graph: ir.Graph, layout: CudaLayout, hidden: ir.Value) -> ir.Value:
    """Return each text's mean, as a product with the matrix `[batch, total]` of 1/length for member tokens.

    In fp16 the product accumulates in fp32, so sums over many tokens neither lose precision nor overflow.
    """
    scope = Scope(graph, "/packing/mean")  # not under /pooling, which stays in fp32
    zero, one = (scope.constant(name, np.array(number, np.float32)) for name, number in (("zero", 0), ("one", 1)))
    member = scope.op("Equal", scope.op("Unsqueeze", layout.starts, scope.ints(1)), layout.owners())
    lengths = scope.op("Cast", scope.op("Unsqueeze", layout.lengths, scope.ints(1)), to=ir.DataType.FLOAT)
    return _product(scope, scope.op("Where", member, scope.op("Div", one, lengths), zero), hidden)


def sum_packed(graph: ir.Graph, layout: CudaLayout, hidden: ir.Value, weights: ir.Value) -> ir.Value:
    """The sum of each text's rows weighted by `weights`, `[batch, sequence]`: the same product with other weights."""
    scope = Scope(graph, "/packing/sum")
    zero = scope.constant("zero", np.array(0, np.float32))
    member = scope.op("Equal", scope.op("Unsqueeze", layout.starts, scope.ints(1)), layout.owners())
    # The weights are computed in fp32; in the fp16 graph this cast becomes one to fp16.
    own = scope.op("Cast", layout.pack(weights), to=ir.DataType.FLOAT)
    return _product(scope, scope.op("Where", member, own, zero), hidden)


def max_packed(graph: ir.Graph, layout: CudaLayout, hidden: ir.Value, counts: ir.Value) -> ir.Value:
    """The largest of each text's rows by component, of those where `counts`, `[batch, sequence]`, is true."""
    largest = max_rows(Scope(graph, "/packing/max"), layout, hidden, counts)
    largest.type = ir.TensorType(ir.DataType.FLOAT)
    return largest


def _product(scope: Scope, matrix: ir.Value, hidden: ir.Value) -> ir.Value:
    summed = scope.op("MatMul", matrix, hidden)
    summed.type = ir.TensorType(ir.DataType.FLOAT)
    return summed
