"""Fuse rotary positions, x · cos + rotate_half(x) · sin, into one `RotaryEmbedding` before the split into heads."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import MICROSOFT, Scope, array, folder, graph_input, numbers, require_opset
from build.passes.probe import Numbers, probe

ROTARY = "RotaryEmbedding"
_MASK = "attention_mask"


@dataclass(frozen=True)
class _Turn:
    """The sum, the heads `[batch, heads, sequence, size]` that it rotates, their rotated halves, and both tables."""

    sum: ir.Node
    heads: ir.Value
    rotated: ir.Value
    cos: ir.Value
    sin: ir.Value

    @property
    def projected(self) -> ir.Value:
        """The value before the split into heads, `[batch, sequence, hidden]`."""
        return self._reshape.inputs[0]

    @property
    def shape(self) -> ir.Value:
        """The target of the split into heads."""
        return self._reshape.inputs[1]

    @property
    def _reshape(self) -> ir.Node:
        return self.heads.producer().inputs[0].producer()


class FuseRotaryPass(GraphPass):
    """Requires the positions' tables of TabulateRotaryPass."""

    name = "fuse-rotary"

    def needed(self, model: ir.Model) -> bool:
        """Whether the graph has rotary positions."""
        return bool(_turns(model.graph))

    def rewrite(self, model: ir.Model) -> int:
        """Fuse every rotation.

        Raises:
            UnsupportedGraphError: other values than the two halves are exchanged.
        """
        graph, turns = model.graph, _turns(model.graph)
        scope, mask = Scope(graph, "/rotary"), graph_input(model.graph, _MASK)
        # Padding stands behind the text: its positions are never used.
        counted = scope.op("CumSum", mask, scope.constant("axis", np.array(1, np.int64)))
        positions = scope.op("Sub", counted, scope.ints(1))
        for turn in turns:
            _check_halves(model, turn)
            _fuse(graph, turn, positions)
        graph.sort()
        RemoveUnusedNodesPass()(model)
        require_opset(model, MICROSOFT)
        return len(turns)

    def ensures(self, model: ir.Model) -> None:
        """Check that no rotation is left in parts."""
        for turn in _turns(model.graph):
            raise ir.passes.PostconditionError(f"{turn.sum.name!r} was not fused")


def _turns(graph: ir.Graph) -> list[_Turn]:
    return [turn for node in graph if (turn := _turn(node)) is not None]


def _turn(node: ir.Node) -> _Turn | None:
    """Match Add(Mul(x, cos), Mul(Concat(Neg(Slice(x)), Slice(x)), sin)) with x = Transpose(Reshape(projected))."""
    if node.op_type != "Add":
        return None
    products = [value.producer() for value in node.inputs if value is not None]
    if any(product is None or product.op_type != "Mul" for product in products):
        return None
    (heads, cos), (rotated, sin) = ((product.inputs[0], product.inputs[1]) for product in products)
    whole, halves = heads.producer(), rotated.producer()
    if whole is None or whole.op_type != "Transpose" or tuple(whole.attributes["perm"].as_ints()) != (0, 2, 1, 3):
        return None
    split = whole.inputs[0].producer()
    if split is None or split.op_type != "Reshape" or halves is None or halves.op_type != "Concat":
        return None
    tables = _table(cos), _table(sin)
    return None if None in tables else _Turn(node, heads, rotated, *tables)


def _table(value: ir.Value | None) -> ir.Value | None:
    """Return the constant `[1, longest, size]` of Unsqueeze(Slice(constant))."""
    grown = value.producer() if value is not None else None
    while grown is not None and grown.op_type in {"Unsqueeze", "Mul", "Cast"}:
        if grown.op_type == "Mul" and (factor := array(grown.inputs[1])) is not None and not (factor == 1).all():
            return None
        grown = grown.inputs[0].producer()
    table = grown.inputs[0] if grown is not None and grown.op_type == "Slice" else None
    data = array(table)
    return table if data is not None and data.ndim == 3 and _halves_agree(data) else None


def _halves_agree(table: Numbers) -> bool:
    size = table.shape[2] // 2
    return np.array_equal(table[..., :size], table[..., size:])


def _check_halves(model: ir.Model, turn: _Turn) -> None:
    size = int(numbers(turn.cos).shape[2])
    row = np.arange(1, size + 1, dtype=np.float32).reshape(1, 1, 1, size)
    (rotated,) = probe(model, {turn.heads: row}, [turn.rotated])
    if not np.array_equal(rotated, np.concatenate([-row[..., size // 2 :], row[..., : size // 2]], axis=3)):
        raise UnsupportedGraphError(f"{turn.sum.name!r} rotates other pairs than the two halves of a head")


def _fuse(graph: ir.Graph, turn: _Turn, positions: ir.Value) -> None:
    producer = turn.projected.producer()
    scope = Scope(graph, folder(producer) if producer is not None else folder(turn.sum))
    tables = [_half(graph, table) for table in (turn.cos, turn.sin)]
    made = scope.op(ROTARY, turn.projected, positions, *tables, domain=MICROSOFT)
    split = scope.op("Reshape", made, turn.shape)
    turn.sum.outputs[0].replace_all_uses_with(scope.op("Transpose", split, perm=[0, 2, 1, 3]))


def _half(graph: ir.Graph, table: ir.Value) -> ir.Value:
    """Return the table's first half as `[longest, size / 2]`; the second is the same."""
    data = numbers(table)
    return Scope(graph, "/rotary").constant(
        f"{table.name}.half", np.ascontiguousarray(data[0, :, : data.shape[2] // 2])
    )
