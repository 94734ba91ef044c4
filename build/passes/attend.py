"""Attention over packed tokens: texts of equal length are computed together, without padding or mask.

Such texts form a dense `[texts, length, hidden]` block, for which ORT has a flash attention kernel that takes no mask.
If all texts have one length, the packed rows are that block; otherwise a Loop runs over groups of equal length.
Speed-up over padding with a mask at BGE-large size: 1.3 on texts of one length, 4 on 16 of mixed length, 11 on 64.
Results are batch-invariant. `attend_window` computes texts that are longer than an attention window.
"""

from dataclasses import dataclass

import onnx_ir as ir

from build.passes import UnsupportedGraphError
from build.passes.attend_window import Window, attend_window
from build.passes.fuse_rotary import ROTARY
from build.passes.graph import GELUS, MICROSOFT, Scope, array, folder, matrix
from build.passes.layout import Layout


@dataclass(frozen=True)
class Attention:
    """An attention node of the padded graph, with packed inputs."""

    node: ir.Node
    query: ir.Value
    key: ir.Value
    value: ir.Value
    bias: ir.Value | None
    first_only: bool
    """Whether the query has one row per text, `[batch, hidden]`, instead of one per token."""
    window: int | None = None
    """How many tokens to each side a token attends to; None for the whole text."""

    @property
    def heads(self) -> int:
        """The number of heads."""
        count: int = self.node.attributes["num_heads"].as_int()
        return count


def attend(graph: ir.Graph, layout: Layout, attention: Attention) -> ir.Value:
    """Add the attention and return its result, with one row per row of the query."""
    path = folder(attention.node)
    outer = Scope(graph, path)
    whole, groups = _whole(layout, attention, f"{path}/whole"), _groups(layout, attention, f"{path}/groups")
    result = outer.op("If", layout.groups.single, then_branch=whole, else_branch=groups)
    # Outside the If, Reshape is free; inside, the branch would copy its output.
    return outer.op("Reshape", result, layout.scope.ints(-1, width(attention.query)))


def _whole(layout: Layout, attention: Attention, path: str) -> ir.Graph:
    """Return the branch for texts of one length: one block, `[texts, length, hidden]`."""
    branch = ir.Graph([], [], nodes=[], name=path)
    block = _Block(Scope(branch, path), layout).attend(attention)
    block.type = ir.TensorType(ir.DataType.FLOAT)
    branch.outputs.append(block)
    return branch


def _groups(layout: Layout, attention: Attention, path: str) -> ir.Graph:
    """Return the branch that loops over the groups and concatenates their rows, `[rows, hidden]`."""
    branch = ir.Graph([], [], nodes=[], name=path)
    scope = Scope(branch, path)
    empty = scope.op("SequenceEmpty", dtype=ir.DataType.FLOAT)
    body = _body(layout, attention, f"{path}/group")
    rows = scope.op("ConcatFromSequence", scope.op("Loop", layout.groups.count, None, empty, body=body), axis=0)
    rows.type = ir.TensorType(ir.DataType.FLOAT)
    branch.outputs.append(rows)
    return branch


def _body(layout: Layout, attention: Attention, path: str) -> ir.Graph:
    step = ir.Value(name=f"{path}/step", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
    go = ir.Value(name=f"{path}/go", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.BOOL))
    done = ir.Value(name=f"{path}/done", type=ir.SequenceType(ir.TensorType(ir.DataType.FLOAT)))
    body = ir.Graph([step, go, done], [], nodes=[], name=path)
    scope = Scope(body, path)
    block = _Block(scope, layout, step).attend(attention)
    rows = scope.op("Reshape", block, layout.scope.ints(-1, width(attention.query)))
    more, goes_on = scope.op("SequenceInsert", done, rows), scope.op("Identity", go)
    more.type, goes_on.type, goes_on.shape = done.type, go.type, go.shape
    body.outputs.extend([goes_on, more])
    return body


class _Block:
    """Adds the nodes for one group of texts, or for all texts if there is one group."""

    def __init__(self, scope: Scope, layout: Layout, step: ir.Value | None = None) -> None:
        self._scope = scope
        self._layout = layout
        self._whole = step is None
        self._step = step or layout.first
        self._picked: dict[ir.Value, ir.Value] = {}

    def attend(self, attention: Attention) -> ir.Value:
        """Return the result, `[texts, length, hidden]`."""
        query, key, value = self._query(attention), self._block(attention.key), self._block(attention.value)
        if attention.window is None:
            return self._whole_texts(attention, query, key, value)
        if attention.first_only:
            near = [self._first_rows(block, attention.window + 1) for block in (key, value)]
            return self._whole_texts(attention, query, *near)
        return self._windows(attention, query, key, value)

    def _whole_texts(self, attention: Attention, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        inputs = [query, key, value, None, None, self._bias(attention)]
        while inputs[-1] is None:
            inputs.pop()
        return self._scope.op("MultiHeadAttention", *inputs, domain=MICROSOFT, num_heads=attention.heads)

    def _windows(self, attention: Attention, *blocks: ir.Value) -> ir.Value:
        """Choose by the texts' length: a text no longer than the window is attended to as a whole."""
        window = Window(attention.window or 0, attention.heads, width(attention.query))
        path = self._scope.path
        short, long = (ir.Graph([], [], nodes=[], name=f"{path}/{name}") for name in ("short", "long"))
        inside = Scope(short, f"{path}/short")
        whole = inside.op("MultiHeadAttention", *blocks, domain=MICROSOFT, num_heads=window.heads)
        length, shared = self._pick(self._layout.groups.lengths), self._layout.scope
        results = (whole, attend_window(Scope(long, f"{path}/long"), shared, blocks, length, window))
        for branch, result in zip((short, long), results, strict=True):
            result.type = ir.TensorType(ir.DataType.FLOAT)
            branch.outputs.append(result)
        fits = self._pick(self._layout.within(window.tokens + 1))
        return self._scope.op("If", fits, then_branch=short, else_branch=long)

    def _first_rows(self, block: ir.Value, count: int) -> ir.Value:
        ints = self._layout.scope.ints
        return self._scope.op("Slice", block, ints(0), ints(count), ints(1))

    def _query(self, attention: Attention) -> ir.Value:
        if not attention.first_only:
            return self._block(attention.query)
        rows = self._rows(attention.query, self._layout.groups.texts)
        return self._scope.op("Unsqueeze", rows, self._layout.scope.ints(1))

    def _block(self, packed: ir.Value) -> ir.Value:
        rows = self._rows(packed, self._layout.groups.rows)
        return self._scope.op("Reshape", rows, self._pick(self._layout.shape(width(packed))))

    def _rows(self, packed: ir.Value, span: tuple[ir.Value, ir.Value]) -> ir.Value:
        if self._whole:
            return packed
        first, last = (self._pick(bound) for bound in span)
        return self._scope.op("Slice", packed, first, last, self._layout.scope.ints(0))

    def _pick(self, table: ir.Value) -> ir.Value:
        """Return the group's row of a table, reusing the Gather: the loop body runs once per length and layer."""
        if table not in self._picked:
            self._picked[table] = self._scope.op("Gather", table, self._step)
        return self._picked[table]

    def _bias(self, attention: Attention) -> ir.Value | None:
        """Return the relative position bias for this group's length, `[1, heads, rows, length]`."""
        if attention.bias is None:
            return None
        ints = self._layout.scope.ints
        length = self._pick(self._layout.groups.lengths)
        rows = ints(1) if attention.first_only else length
        ends = self._scope.op("Concat", ints(1), rows, length, axis=0)
        return self._scope.op("Slice", attention.bias, ints(0, 0, 0), ends, ints(0, 2, 3))


def width(value: ir.Value) -> int:
    """Return the size of the last axis of a token-wise value.

    Raises:
        UnsupportedGraphError: it cannot be inferred from the producing node's weights.
    """
    node = value.producer()
    if node is None:
        raise UnsupportedGraphError(f"{value.name!r} is no layer's output")
    if node.op_type in {ROTARY, *GELUS}:
        return width(node.inputs[0])
    if node.op_type == "Reshape" and (shape := array(node.inputs[1])) is not None:
        return int(shape[-1])
    weight = node.inputs[0] if node.op_type == "Gather" else matrix(node)
    if weight is not None and weight.shape is not None and len(weight.shape) == 2:
        return int(weight.shape[1])
    for source in node.inputs:
        numbers = array(source)
        if numbers is not None and numbers.ndim == 1 and numbers.size > 1:
            return numbers.size
    raise UnsupportedGraphError(f"the width of {node.op_type} {node.name!r} is unknown")
