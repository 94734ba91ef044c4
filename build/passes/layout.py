"""Token layout: integer tables that the padding-free graph computes once from the mask.

Dimensions: `batch` texts, `total` real tokens, `groups` runs of consecutive texts of equal length.
"""

import numpy as np
import onnx_ir as ir

from build.passes.graph import Scope

_END = np.iinfo(np.int64).max


class Layout:
    """The tables as graph values."""

    def __init__(self, graph: ir.Graph, mask: ir.Value) -> None:
        self.scope = scope = Scope(graph, "/packing")
        self.mask = mask
        """`[batch, sequence]`: ones followed by zeros."""
        self.sizes = scope.op("Shape", mask)
        """`[2]`: batch and sequence of the padded input."""
        self._places = scope.op("NonZero", mask)
        self.coordinates = scope.op("Transpose", self._places, perm=[1, 0])
        """`[total, 2]`: row and column of each real token in the padded input."""
        self.lengths = scope.op("ReduceSum", mask, scope.ints(1), keepdims=0)
        """`[batch]`: tokens of each text."""
        self.ends = scope.op("CumSum", self.lengths, scope.constant("axis", np.array(0, np.int64)))
        """`[batch]`: the packed row after each text's last token."""
        self.starts = scope.op("Sub", self.ends, self.lengths)
        """`[batch]`: the packed row of each text's first token."""
        self.first = scope.constant("first", np.array(0, np.int64))
        """Scalar 0: the index of the first text or group."""
        self._shapes: dict[int, ir.Value] = {}
        self._within: dict[int, ir.Value] = {}
        self._groups: Groups | None = None

    @property
    def groups(self) -> "Groups":
        """The runs of consecutive texts of equal length; created on first use."""
        if self._groups is None:
            self._groups = Groups(self)
        return self._groups

    def pack(self, padded: ir.Value) -> ir.Value:
        """Pack `[batch, sequence]`, or a value that broadcasts to it, into `[total]`: real tokens only."""
        full = self.scope.op("Expand", padded, self.sizes)
        return self.scope.op("GatherND", full, self.coordinates)

    def texts(self) -> ir.Value:
        """`[total]`: the index of each token's text."""
        return self.scope.op("Gather", self._places, self.scope.constant("axis", np.array(0, np.int64)))

    def shape(self, width: int) -> ir.Value:
        """`[groups, 3]`: the shape (-1, length, width) of each group."""
        if width not in self._shapes:
            scope = self.scope
            lengths = scope.op("Mul", self.groups.lengths, scope.ints(0, 1, 0))
            self._shapes[width] = scope.op("Add", lengths, scope.ints(-1, 0, width))
        return self._shapes[width]

    def within(self, tokens: int) -> ir.Value:
        """`[groups, 1]`: whether a group's texts have no more than so many tokens."""
        if tokens not in self._within:
            self._within[tokens] = self.scope.op("LessOrEqual", self.groups.lengths, self.scope.ints(tokens))
        return self._within[tokens]


class Groups:
    """The runs as ranges of texts and of packed rows; tables are columns, so that each row is a vector `[1]`."""

    def __init__(self, layout: Layout) -> None:
        self._scope = scope = layout.scope
        lengths = layout.lengths
        # A text starts a group if its length differs from the previous one's; no text has length 0.
        before = scope.op("Concat", scope.ints(0), scope.op("Slice", lengths, scope.ints(0), scope.ints(-1)), axis=0)
        opens = scope.op("Not", scope.op("Equal", lengths, before))
        first = scope.op("Squeeze", scope.op("NonZero", opens), scope.ints(0))
        self.count = scope.op("Size", first)
        """Scalar: the number of groups."""
        self.single = scope.op("Equal", self.count, scope.constant("one", np.array(1, np.int64)))
        """Scalar: whether all texts have one length."""
        self.lengths = self._column(scope.op("Gather", lengths, first))
        """`[groups, 1]`: tokens in each text of the group."""
        texts = scope.op("Shape", lengths)
        rows = scope.op("Shape", layout.coordinates, start=0, end=1)
        self.texts = self._range(first, texts)
        """Two of `[groups, 1]`: first text, and last text plus one."""
        self.rows = self._range(scope.op("Gather", layout.starts, first), rows)
        """Two of `[groups, 1]`: first packed row, and last row plus one."""

    def _range(self, first: ir.Value, total: ir.Value) -> tuple[ir.Value, ir.Value]:
        scope = self._scope
        later = scope.op("Slice", first, scope.ints(1), scope.ints(_END))
        return self._column(first), self._column(scope.op("Concat", later, total, axis=0))

    def _column(self, vector: ir.Value) -> ir.Value:
        return self._scope.op("Unsqueeze", vector, self._scope.ints(1))
