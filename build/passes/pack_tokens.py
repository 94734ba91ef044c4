"""Make the graph padding-free: everything except attention works on real tokens only, `[total, hidden]`.

An encoder's other layers are token-wise and independent of rank. It suffices to look up embeddings of real tokens only,
to replace attention with attention over packed tokens, and to pool by text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.attend import Attention, attend, width
from build.passes.attend_packed import attend_packed, max_packed, mean_packed, sum_packed
from build.passes.cuda_layout import CudaLayout
from build.passes.fuse_attention import MASK, OPERATOR, WINDOW
from build.passes.fuse_rotary import ROTARY
from build.passes.graph import PER_TOKEN, Scope, array, graph_input, is_constant, is_first_row, matrix, numbers, pooled
from build.passes.layout import Layout
from build.passes.max_rows import max_rows
from server.model.manifest import PACKED


@dataclass(frozen=True)
class Kernels:
    """What computes the tables, attention, mean, weighted sum and maximum of packed tokens, for one kind of device."""

    layout: type[Layout]
    attend: Callable[[ir.Graph, Any, Attention], ir.Value]
    mean: Callable[[ir.Graph, Any, ir.Value], ir.Value]
    sum: Callable[[ir.Graph, Any, ir.Value, ir.Value], ir.Value]
    max: Callable[[ir.Graph, Any, ir.Value, ir.Value], ir.Value]


class PackTokensPass(GraphPass):
    """Requires fused attention and pooled output. Valid for masks of ones followed by zeros."""

    name = PACKED

    def __init__(self, kernels: Kernels | None = None) -> None:
        super().__init__()
        self._kernels = kernels or PORTABLE

    def requires(self, model: ir.Model) -> None:
        """Check that attention is fused and that all nodes between embeddings and pooling are token-wise."""
        graph = model.graph
        if all(node.op_type != OPERATOR for node in graph):
            raise ir.passes.PreconditionError("no attention is fused")
        region = _region(graph)
        for node in region.nodes:
            for value in node.outputs:
                _shape_readers(region, value)

    def rewrite(self, model: ir.Model) -> int:
        """Pack all nodes between embeddings and pooling.

        Raises:
            UnsupportedGraphError: the kernels do not support this attention or these positions.
        """
        graph, region = model.graph, _region(model.graph)
        layout = self._kernels.layout(graph, graph_input(graph, MASK))
        _Packer(graph, layout, self._kernels, region).pack()
        for pool in region.pools:
            pool.value.replace_all_uses_with(self._pool(graph, layout, pool))
        _type_parts(graph)
        graph.sort()
        RemoveUnusedNodesPass()(model)
        return len(region.nodes)

    def ensures(self, model: ir.Model) -> None:
        """Check that no attention over padded texts is left."""
        for node in model.graph:
            if node.op_type == OPERATOR:
                raise ir.passes.PostconditionError(f"{node.name!r} was not packed")

    def _pool(self, graph: ir.Graph, layout: Layout, pool: "_TokenPool") -> ir.Value:
        if pool.weights is None:
            return self._kernels.mean(graph, layout, pool.hidden)
        kernel = self._kernels.max if pool.is_max else self._kernels.sum
        return kernel(graph, layout, pool.hidden, pool.weights)


@dataclass(frozen=True)
class _TokenPool:
    """A mean of hidden states (no weights), their sum weighted by `weights`, or the maximum where `weights` is true.

    `weights` is `[batch, sequence]`.
    """

    value: ir.Value
    hidden: ir.Value
    weights: ir.Value | None
    is_max: bool = False


@dataclass(frozen=True)
class _Region:
    """The nodes that work token by token, in order, their last values, and what pools all tokens."""

    nodes: list[ir.Node]
    ends: list[ir.Value]
    pools: list[_TokenPool]


def _region(graph: ir.Graph) -> _Region:
    parts = _parts(graph)
    pools = [pool for part in parts if (pool := _token_max(part) or _token_sum(part)) is not None]
    reduced = {pool.value for pool in pools}
    ends = [*(part for part in parts if part not in reduced), *(pool.hidden for pool in pools)]
    return _Region(_token_wise(graph, ends), ends, pools)


def _parts(graph: ir.Graph) -> list[ir.Value]:
    """The pooled vectors that are concatenated, one per pooling mode."""
    end = pooled(graph)
    node = end.producer()
    return list(dict.fromkeys(node.inputs)) if node is not None and node.op_type == "Concat" else [end]


def _type_parts(graph: ir.Graph) -> None:
    """Annotate concatenated parts as fp32, so that the fp16 pass knows where to insert casts."""
    parts = _parts(graph)
    for part in parts if len(parts) > 1 else []:
        part.type = ir.TensorType(ir.DataType.FLOAT)


def _shape_readers(region: _Region, value: ir.Value) -> list[ir.Node]:
    """Return the nodes that read the shape of a padded value.

    Raises:
        UnsupportedGraphError: a node outside the region reads the value itself and may mix tokens.
    """
    # What pools reads all tokens: the pass replaces it.
    readers = [] if value in region.ends else value.consumers()
    foreign = [node for node in readers if node not in region.nodes]
    for reader in foreign:
        if reader.op_type != "Shape" or reader.attributes:
            raise UnsupportedGraphError(
                f"{reader.op_type} {reader.name!r} reads tokens and is not known to keep them apart"
            )
    return foreign


def _token_wise(graph: ir.Graph, ends: list[ir.Value]) -> list[ir.Node]:
    """The nodes from the embeddings to `ends`, in order."""
    token_wise: set[ir.Node] = set()
    pending: list[ir.Value | None] = [*ends]
    while pending:
        value = pending.pop()
        node = value.producer() if value is not None and not is_constant(value) else None
        if node is not None and node not in token_wise:
            token_wise.add(node)
            pending += _sources(node)
    return [node for node in graph if node in token_wise]


def _sources(node: ir.Node) -> list[ir.Value | None]:
    """Return the token-wise inputs of a node."""
    if node.op_type == OPERATOR:
        return list(node.inputs[:3])
    if node.op_type in PER_TOKEN:
        if any((constant := array(value)) is not None and constant.ndim > 1 for value in node.inputs):
            raise UnsupportedGraphError(
                f"{node.op_type} {node.name!r} takes a constant that differs from token to token"
            )
        return list(node.inputs)
    if is_first_row(node) or matrix(node) is not None or node.op_type == ROTARY:
        return [node.inputs[0]]
    if _is_lookup(node):
        return []
    raise UnsupportedGraphError(f"{node.op_type} {node.name!r} is not known to work token by token")


def _is_lookup(node: ir.Node) -> bool:
    table = node.inputs[0] if node.op_type == "Gather" else None
    return table is not None and is_constant(table) and node.attributes.get_int("axis", 0) == 0


class _Packer:
    """Rewrites the token-wise nodes in place, in order."""

    def __init__(self, graph: ir.Graph, layout: Layout, kernels: Kernels, region: _Region) -> None:
        self._kernels = kernels
        self._graph = graph
        self._layout = layout
        self._region = region
        self._per_text: set[ir.Value] = set()
        """Values with one row per text instead of one per token."""
        self._positions: dict[ir.Value, ir.Value] = {}
        """Packed position ids, `[total, 1]`, by the padded ones."""

    def pack(self) -> None:
        """Pack all; what pools all tokens is left to the caller."""
        for node in self._region.nodes:
            for value in node.outputs:
                self._point_shape_readers(value)
                value.shape = None  # the exporter's `[batch, sequence, hidden]` is outdated
            if node.op_type == OPERATOR:
                self._attention(node)
            elif node.op_type == ROTARY:
                self._rotary(node)
            elif is_first_row(node):
                self._first_row(node)
            elif _is_lookup(node):
                self._lookup(node)
            elif any(value in self._per_text for value in node.inputs):
                self._per_text.update(node.outputs)

    def _point_shape_readers(self, value: ir.Value) -> None:
        """Replace the shape of a padded value by one computed from the input's."""
        for reader in _shape_readers(self._region, value):
            sizes = [self._layout.sizes, self._layout.scope.ints(width(value))]
            reader.outputs[0].replace_all_uses_with(self._layout.scope.op("Concat", *sizes, axis=0))

    def _lookup(self, node: ir.Node) -> None:
        table, index = node.inputs
        if table.shape is not None and table.shape[0] == 1:
            constant = self._layout.scope.weight(f"{table.name}.row0", numbers(table)[0])
            node.outputs[0].replace_all_uses_with(constant)
            return
        node.replace_input_with(1, self._layout.pack(index))

    def _first_row(self, node: ir.Node) -> None:
        source = node.inputs[0]
        first = source if source in self._per_text else self._layout.scope.op("Gather", source, self._layout.starts)
        self._per_text.add(first)
        node.outputs[0].replace_all_uses_with(first)

    def _rotary(self, node: ir.Node) -> None:
        """Rotate tokens as texts of one token each: the operator takes no more tokens than the table has positions."""
        scope, source, positions = self._layout.scope, node.inputs[0], node.inputs[1]
        if positions not in self._positions:
            self._positions[positions] = scope.op("Unsqueeze", self._layout.pack(positions), scope.ints(1))
        columns, readers = width(source), list(node.outputs[0].uses())
        node.replace_input_with(0, scope.op("Reshape", source, scope.ints(-1, 1, columns)))
        node.replace_input_with(1, self._positions[positions])
        rows = scope.op("Reshape", node.outputs[0], scope.ints(-1, columns))
        for reader, index in readers:
            reader.replace_input_with(index, rows)

    def _attention(self, node: ir.Node) -> None:
        query, key, value = node.inputs[:3]
        window = int(node.metadata_props[WINDOW]) if WINDOW in node.metadata_props else None
        bias = _unexpanded(node.inputs[5]) if len(node.inputs) > 5 and window is None else None
        first_only = query in self._per_text
        attention = Attention(node, query, key, value, bias, first_only, window)
        result = self._kernels.attend(self._graph, self._layout, attention)
        if first_only:
            self._per_text.add(result)
        node.outputs[0].replace_all_uses_with(result)


def _unexpanded(bias: ir.Value | None) -> ir.Value | None:
    """Return a bias before its expansion over the batch, on which it does not depend."""
    node = bias.producer() if bias is not None else None
    source = node.inputs[0] if node is not None and node.op_type == "Expand" else None
    grown = source.producer() if source is not None else None
    return source if grown is not None and grown.op_type == "Unsqueeze" else bias


def _token_max(value: ir.Value) -> _TokenPool | None:
    """Match max pooling, ReduceMax(Where(Unsqueeze(counts), hidden, lowest)); None for other values."""
    node = value.producer()
    chosen = node.inputs[0].producer() if node is not None and node.op_type == "ReduceMax" else None
    if chosen is None or chosen.op_type != "Where":
        return None
    counts, hidden = chosen.inputs[:2]
    return _TokenPool(value, hidden, counts.producer().inputs[0], is_max=True)


def _token_sum(value: ir.Value) -> _TokenPool | None:
    """Match mean pooling, Div(ReduceSum(Mul(hidden, mask)), tokens), or ReduceSum(Mul(hidden, weights)).

    None for a value that is no sum over tokens, such as CLS.
    """
    node = value.producer()
    is_mean = node is not None and node.op_type == "Div"
    for op_type in ("Div", "ReduceSum", "Mul") if is_mean else ("ReduceSum", "Mul"):
        if node is None or node.op_type != op_type or node.inputs[0] is None:
            return None
        hidden, last = node.inputs[0], node
        node = hidden.producer()
    return _TokenPool(value, hidden, None if is_mean else last.inputs[1].producer().inputs[0])


def _mean(graph: ir.Graph, layout: Layout, hidden: ir.Value) -> ir.Value:
    """Return each text's mean, as a product with the 0/1 membership matrix `[batch, total]`."""
    scope = Scope(graph, "/pooling/packed")
    total = scope.op("MatMul", scope.op("Cast", _member(scope, layout), to=ir.DataType.FLOAT), hidden)
    count = scope.op("Unsqueeze", scope.op("Cast", layout.lengths, to=ir.DataType.FLOAT), scope.ints(1))
    return scope.op("Div", total, count)


def _sum(graph: ir.Graph, layout: Layout, hidden: ir.Value, weights: ir.Value) -> ir.Value:
    """The weighted sum of each text's rows: the same product with the weights in the matrix."""
    scope = Scope(graph, "/pooling/packed")
    zero = scope.constant("none", np.array(0, np.float32))
    return scope.op("MatMul", scope.op("Where", _member(scope, layout), layout.pack(weights), zero), hidden)


def _max(graph: ir.Graph, layout: Layout, hidden: ir.Value, counts: ir.Value) -> ir.Value:
    return max_rows(Scope(graph, "/pooling/packed"), layout, hidden, counts)


def _member(scope: Scope, layout: Layout) -> ir.Value:
    """`[batch, total]`: whether the text contains the token."""
    zero, one = (scope.constant(name, np.array(number, np.int64)) for name, number in (("zero", 0), ("one", 1)))
    every = scope.op("Range", zero, scope.op("Size", layout.lengths), one)
    return scope.op("Equal", scope.op("Unsqueeze", every, scope.ints(1)), layout.texts())


PORTABLE = Kernels(Layout, attend, _mean, _sum, _max)
CUDA = Kernels(CudaLayout, attend_packed, mean_packed, sum_packed, max_packed)
