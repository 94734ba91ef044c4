"""Quantize weights to int8 with a scale per output channel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from build.quantize.linear import Floats

FULL = 127
REDUCED = 63


@dataclass(frozen=True)
class Int8Weight:
    """A weight `[in, out]` represented by `values * scale`."""

    values: NDArray[np.int8]
    scale: Floats
    """`[out]`."""

    def column_sums(self) -> Floats:
        """Return the column sums `[out]` of the dequantized weight."""
        return np.asarray(self.values.sum(axis=0, dtype=np.int32) * self.scale, np.float32)


def quantize(weight: Floats, limit: int = FULL) -> Int8Weight:
    """Quantize a weight `[in, out]` symmetrically, so that its zero point is 0 and costs nothing.

    `limit` is the largest integer used: `FULL`, or `REDUCED` (7 bits) for x86 processors without VNNI, where pairs of
    uint8 x int8 products are added in 16 bits and saturate with larger weights (vpmaddubsw).
    """
    scale = np.abs(weight).max(axis=0) / np.float32(limit)
    scale = np.where(scale == 0, np.float32(1), scale)
    values = np.rint(weight / scale)
    return Int8Weight(np.clip(values, -limit, limit, out=values).astype(np.int8), scale)
