"""Token layout tables for ONNX Runtime's packed attention on CUDA.

All tables are computed from the mask with operators that have CUDA kernels. ONNX Runtime places computation on shapes
on the CPU, so shapes are used only as targets of Reshape, which reads them on the CPU anyway.
"""

from functools import cached_property

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.passes import UnsupportedGraphError
from build.passes.graph import array, scalar, value_inputs
from build.passes.layout import Layout


class CudaLayout(Layout):
    """The int32 tables of packed attention; unused ones are removed after packing."""

    def pack(self, padded: ir.Value) -> ir.Value:
        """Pack `[batch, sequence]` into `[total]`; positions shared by all texts are looked up by column.

        Raises:
            UnsupportedGraphError: the value depends on the input's shape other than by slicing to its length.
        """
        if value_inputs(padded):
            return self._real(padded)
        row = _row(padded)
        if row is None:
            raise UnsupportedGraphError(
                f"{padded.name!r} is computed from a shape, which would bring the CPU into a CUDA graph"
            )
        if np.array_equal(row, np.arange(row.size)):
            return self._columns
        return self.scope.op("Gather", self.scope.constant(f"row.{padded.name}".replace("/", "."), row), self._columns)

    @cached_property
    def offsets(self) -> ir.Value:
        """`[batch, sequence]`: flat indices into the padded input, real tokens first, then padding."""
        scope = self.scope
        padding = scope.op("Equal", self._flat_mask, scope.constant("none", np.array(0, np.int64)))
        places = scope.op("Concat", self._real_places, scope.op("NonZero", padding), axis=1)
        return scope.op("Reshape", scope.op("Cast", places, to=ir.DataType.INT32), self.sizes)

    @cached_property
    def bounds(self) -> ir.Value:
        """`[batch + 1]`: cumulative sequence lengths, starting with 0."""
        scope = self.scope
        return scope.op("Cast", scope.op("Concat", scope.ints(0), self.ends, axis=0), to=ir.DataType.INT32)

    def owners(self) -> ir.Value:
        """`[total]`: for each token, the packed row of its text's first token."""
        scope = self.scope
        column = scope.op("Unsqueeze", self.starts, scope.ints(1))
        return self._real(scope.op("Mul", column, self.mask))

    def _real(self, padded: ir.Value) -> ir.Value:
        scope = self.scope
        return scope.op("Gather", scope.op("Reshape", padded, scope.ints(-1)), self._real_row)

    @cached_property
    def _flat_mask(self) -> ir.Value:
        return self.scope.op("Reshape", self.mask, self.scope.ints(-1))

    @cached_property
    def _real_places(self) -> ir.Value:
        return self.scope.op("NonZero", self._flat_mask)

    @cached_property
    def _real_row(self) -> ir.Value:
        return self.scope.op("Squeeze", self._real_places, self.scope.ints(0))

    @cached_property
    def _columns(self) -> ir.Value:
        scope = self.scope
        counted = scope.op("CumSum", self.mask, scope.constant("one", np.array(1, np.int64)))
        return self._real(scope.op("Sub", counted, scope.ints(1)))


def _row(positions: ir.Value) -> NDArray[np.int64] | None:
    """Return the constant table `[1, longest]` that these positions are a prefix of; None otherwise."""
    node = positions.producer()
    if node is not None and node.op_type == "Expand":  # to every text
        return _row(node.inputs[0])
    if node is None or node.op_type != "Slice" or len(node.inputs) < 4:
        return None
    table, step = array(node.inputs[0]), node.inputs[4] if len(node.inputs) > 4 else None
    whole = scalar(node.inputs[1]) == 0 and scalar(node.inputs[3]) == 1 and (step is None or scalar(step) == 1)
    return table[0].astype(np.int64) if whole and table is not None and table.ndim == 2 else None
