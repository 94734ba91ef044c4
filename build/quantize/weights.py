"""Weights as int8 with a scale per output channel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from build.quantize.linear import Floats

FULL = 127
REDUCED = 63


@dataclass(frozen=True)
class Int8Weight:
    """`values * scale` stands for the weight `[in, out]`."""

    values: NDArray[np.int8]
    scale: Floats
    """`[out]`."""

    def column_sums(self) -> Floats:
        """What the weight, as it is after rounding, gives for an input of ones: `[out]`."""
        return np.asarray(self.values.sum(axis=0, dtype=np.int32) * self.scale, np.float32)


def quantize(weight: Floats, limit: int = FULL) -> Int8Weight:
    """Round a weight `[in, out]` symmetrically, so that its zero point is 0 and costs nothing.

    `limit` is the largest integer used: `FULL`, or `REDUCED` (7 bits) for x86 processors without VNNI, where the
    product of uint8 and int8 adds pairs in 16 bits and overflows for larger weights (vpmaddubsw saturates).
    """
    scale = np.abs(weight).max(axis=0) / np.float32(limit)
    scale = np.where(scale == 0, np.float32(1), scale)
    values = np.rint(weight / scale)
    return Int8Weight(np.clip(values, -limit, limit, out=values).astype(np.int8), scale)
