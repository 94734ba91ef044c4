"""Where each real token lies, as ONNX Runtime's packed attention on CUDA asks for it.

Every table comes from the mask's numbers, by operators that have CUDA kernels. What is computed from a shape ONNX
Runtime puts on the CPU; here a shape is only ever the target of a Reshape, which is read there on every device.
"""

from functools import cached_property

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.passes import UnsupportedGraphError
from build.passes.graph import array, scalar, value_inputs
from build.passes.layout import Layout


class CudaLayout(Layout):
    """The tables of packed attention, in int32; those that no node reads are dropped when the packing is done."""

    def pack(self, padded: ir.Value) -> ir.Value:
        """`[batch, sequence]` as `[total]`; positions that are the same in every text, by each token's column.

        Raises:
            UnsupportedGraphError: it depends on the input's shape otherwise than by being cut to its length.
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
        """`[batch, sequence]`: the places in the padded input of all real tokens, then those of the padding."""
        scope = self.scope
        padding = scope.op("Equal", self._flat_mask, scope.constant("none", np.array(0, np.int64)))
        places = scope.op("Concat", self._real_places, scope.op("NonZero", padding), axis=1)
        return scope.op("Reshape", scope.op("Cast", places, to=ir.DataType.INT32), self.sizes)

    @cached_property
    def bounds(self) -> ir.Value:
        """`[batch + 1]`: the packed row of each text's first token, and the number of all."""
        scope = self.scope
        return scope.op("Cast", scope.op("Concat", scope.ints(0), self.ends, axis=0), to=ir.DataType.INT32)

    def owners(self) -> ir.Value:
        """`[total]`: the packed row of the first token of the text that each token belongs to."""
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
    """The constant `[1, longest]` that these positions are the beginning of; None where they are something else."""
    node = positions.producer()
    if node is not None and node.op_type == "Expand":  # to every text
        return _row(node.inputs[0])
    if node is None or node.op_type != "Slice" or len(node.inputs) < 4:
        return None
    table, step = array(node.inputs[0]), node.inputs[4] if len(node.inputs) > 4 else None
    whole = scalar(node.inputs[1]) == 0 and scalar(node.inputs[3]) == 1 and (step is None or scalar(step) == 1)
    return table[0].astype(np.int64) if whole and table is not None and table.ndim == 2 else None
