"""Add pooling and L2 normalisation to the graph, so that its only output is the unit sentence vector.

Pooling as in sentence-transformers' `Pooling`, normalisation as in `torch.nn.functional.normalize`
(divide by the norm, no smaller than 1e-12).
"""

import numpy as np
import onnx_ir as ir

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import Scope
from build.passes.mark_prompt import of_texts
from build.passes.token_weights import token_weights
from build.pooling import Pooling
from server.model.manifest import PoolingMode

OUTPUT = "sentence_embedding"
_HIDDEN = "last_hidden_state"


class PoolOutputPass(GraphPass):
    """Turn `last_hidden_state[batch, sequence, hidden]` into `sentence_embedding[batch, dimension]`.

    Without `include_prompt`, MarkPromptPass must have run before.
    """

    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self.name = f"pool-{pooling.name}-normalize"
        self._pooling = pooling

    def requires(self, model: ir.Model) -> None:
        """Check that the hidden states are the only output."""
        outputs = [value.name for value in model.graph.outputs]
        if outputs != [_HIDDEN]:
            raise UnsupportedGraphError(f"the graph's outputs are {outputs}, not {_HIDDEN!r} alone")

    def rewrite(self, model: ir.Model) -> int:
        """Replace the hidden states with the pooled vector as output."""
        graph = model.graph
        hidden = graph.outputs[0]
        unit = normalize(Scope(graph, "/normalize"), _pool(graph, self._pooling, hidden))
        unit.name = OUTPUT
        batch, _, width = hidden.shape or (None, None, None)
        dimension = width * len(self._pooling.modes) if isinstance(width, int) else width
        unit.shape, unit.type = ir.Shape([batch, dimension]), ir.TensorType(ir.DataType.FLOAT)
        graph.outputs[:] = [unit]
        return 1

    def ensures(self, model: ir.Model) -> None:
        """Check that the normalised vector is the only output."""
        if [value.name for value in model.graph.outputs] != [OUTPUT]:
            raise ir.passes.PostconditionError(f"the graph does not end in {OUTPUT!r}")


def _pool(graph: ir.Graph, pooling: Pooling, hidden: ir.Value) -> ir.Value:
    """Pool by every mode and concatenate, `[batch, dimension]`."""
    pooled = graph.inputs[1] if pooling.include_prompt else of_texts(graph)
    parts = {mode: _part(graph, mode, hidden, pooled) for mode in dict.fromkeys(pooling.modes)}
    if len(pooling.modes) == 1:
        return parts[pooling.modes[0]]
    return Scope(graph, "/pooling").op("Concat", *(parts[mode] for mode in pooling.modes), axis=-1)


def _part(graph: ir.Graph, mode: PoolingMode, hidden: ir.Value, pooled: ir.Value) -> ir.Value:
    """Pool by one mode, `[batch, hidden]`; `pooled` is the mask of the tokens to pool."""
    mask = graph.inputs[1]
    if pooled is mask and mode == "cls":
        return _first_row(Scope(graph, "/pooling"), hidden)
    if pooled is mask and mode == "mean":
        return _masked_mean(Scope(graph, "/pooling"), hidden, mask)
    scope = Scope(graph, f"/pooling/{mode}")
    if mode == "max":
        return _largest(scope, hidden, pooled)
    column = scope.op("Unsqueeze", token_weights(scope, mode, mask, pooled), scope.ints(-1))
    return scope.op("ReduceSum", scope.op("Mul", hidden, column), scope.ints(1), keepdims=0)


def _largest(scope: Scope, hidden: ir.Value, pooled: ir.Value) -> ir.Value:
    lowest = scope.constant("lowest", np.array(np.finfo(np.float32).min, np.float32))
    counts = scope.op("Unsqueeze", scope.op("Cast", pooled, to=ir.DataType.BOOL), scope.ints(-1))
    return scope.op("ReduceMax", scope.op("Where", counts, hidden, lowest), scope.ints(1), keepdims=0)


def _first_row(scope: Scope, hidden: ir.Value) -> ir.Value:
    first = scope.constant("first", np.array(0, np.int64))
    return scope.op("Gather", hidden, first, axis=1)


def _masked_mean(scope: Scope, hidden: ir.Value, mask: ir.Value) -> ir.Value:
    sequence = scope.constant("sequence_axis", np.array([1], np.int64))
    last = scope.constant("last_axis", np.array([-1], np.int64))
    column = scope.op("Unsqueeze", scope.op("Cast", mask, to=ir.DataType.FLOAT), last)
    total = scope.op("ReduceSum", scope.op("Mul", hidden, column), sequence, keepdims=0)
    count = scope.op("ReduceSum", column, sequence, keepdims=0)
    return scope.op("Div", total, count)


def normalize(scope: Scope, vectors: ir.Value) -> ir.Value:
    """Divide vectors `[batch, dimension]` by their norm, no smaller than 1e-12."""
    last = scope.constant("axis", np.array([-1], np.int64))
    smallest = scope.constant("smallest", np.array(1e-12, np.float32))
    norm = scope.op("ReduceL2", vectors, last, keepdims=1)
    return scope.op("Div", vectors, scope.op("Max", norm, smallest))
