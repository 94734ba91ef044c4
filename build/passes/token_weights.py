"""Token weights of the pooling modes that are weighted sums over tokens."""

import onnx_ir as ir

from build.passes.graph import Scope
from server.model.manifest import PoolingMode


def token_weights(scope: Scope, mode: PoolingMode, mask: ir.Value, pooled: ir.Value) -> ir.Value:
    """Return the weights of one mode, `[batch, sequence]` in fp32; 0 for tokens that are not in `pooled`.

    `mask` marks real tokens, `pooled` those of them to pool; both are `[batch, sequence]` in int64.
    """
    if mode in ("cls", "lasttoken"):
        return _one_token(scope, pooled, last=mode == "lasttoken")
    sequence = scope.ints(1)
    counted = scope.op("Mul", pooled, scope.op("CumSum", mask, sequence)) if mode == "weightedmean" else pooled
    weights = scope.op("Cast", counted, to=ir.DataType.FLOAT)
    total = scope.op("ReduceSum", weights, sequence, keepdims=1)
    return scope.op("Div", weights, scope.op("Sqrt", total) if mode == "mean_sqrt_len_tokens" else total)


def _one_token(scope: Scope, pooled: ir.Value, *, last: bool) -> ir.Value:
    """Return 1 for the first or last pooled token, 0 for the others."""
    sequence = scope.ints(1)
    place = scope.op("CumSum", pooled, sequence)
    wanted = scope.op("ReduceSum", pooled, sequence, keepdims=1) if last else sequence
    # The count stays the same after the last pooled token, so multiply by the mask.
    chosen = scope.op("Cast", scope.op("Equal", place, wanted), to=ir.DataType.INT64)
    return scope.op("Cast", scope.op("Mul", chosen, pooled), to=ir.DataType.FLOAT)
