"""Quantize weights to int8 with a scale per output channel, for exact products on every processor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from build.quantize.linear import Floats

LARGEST = 127
# Largest sum of two weights whose products with 255 fit 16 bits together: 255 * 128 < 2**15.
PAIR = 128
# How far from the smallest scale to the one at which every pair fits a channel's scale may be.
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Int8Weight:
    """A weight `[in, out]` represented by `values * scale`."""

    values: NDArray[np.int8]
    scale: Floats
    """`[out]`."""

    def column_sums(self) -> Floats:
        """Return the column sums `[out]` of the dequantized weight."""
        return np.asarray(self.values.sum(axis=0, dtype=np.int32) * self.scale, np.float32)


def quantize(weight: Floats) -> Int8Weight:
    """Quantize a weight `[in, out]` symmetrically, so that its zero point is 0 and costs nothing."""
    scale = _smallest_scale(weight)
    return Int8Weight(_rounded(weight, scale).astype(np.int8), scale)


def quantize_factor(weight: Floats) -> Int8Weight:
    """Quantize a factor `[in, out]` of uint8 activations like `quantize`, but for exact sums on every processor.

    x86 processors without VNNI or AMX add the uint8 x int8 products of inputs 2k and 2k + 1 in 16 bits, and saturate
    (vpmaddubsw; onnxruntime issues 6004 and 17389). So two such weights of one sign are `PAIR` together at most. Each
    channel gets the scale with the least squared error: with a small one, pairs beyond the limit are cut down to it;
    with a large one, all weights are rounded more coarsely.
    """
    smallest = _smallest_scale(weight)
    fitting = np.maximum(smallest, _pairs(weight).max(axis=0, initial=0) / np.float32(PAIR))
    scale, least = smallest, np.full(smallest.shape, np.inf, np.float32)
    for share in _SHARES:
        tried = (smallest + np.float32(share) * (fitting - smallest)).astype(np.float32)
        error = np.square(_cut_down(_rounded(weight, tried)) * tried - weight).sum(axis=0)
        scale, least = np.where(error < least, tried, scale), np.minimum(error, least)
    return Int8Weight(_cut_down(_rounded(weight, scale)).astype(np.int8), scale)


def _smallest_scale(weight: Floats) -> Floats:
    scale = np.abs(weight).max(axis=0) / np.float32(LARGEST)
    return np.where(scale == 0, np.float32(1), scale)


def _rounded(weight: Floats, scale: Floats) -> Floats:
    values = np.rint(weight / scale)
    np.clip(values, -LARGEST, LARGEST, out=values)
    return np.asarray(values, np.float32)


def _pairs(weight: Floats) -> Floats:
    """Return `[in / 2, out]`: the magnitude of each pair's sum if both have one sign, else 0."""
    even, odd = weight[: weight.shape[0] // 2 * 2 : 2], weight[1::2]
    return np.where(even * odd > 0, np.abs(even + odd), np.float32(0))


def _cut_down(values: Floats) -> Floats:
    """Cut pairs of whole numbers down to `PAIR`, each of the two by half of the excess, in place."""
    excess = np.maximum(_pairs(values) - PAIR, 0)
    even, odd = values[: values.shape[0] // 2 * 2 : 2], values[1::2]
    even -= np.sign(even) * np.ceil(excess / 2)
    odd -= np.sign(odd) * np.floor(excess / 2)
    return values
