"""What stored vectors of an output type say of the vectors that they were made from. Pure."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.model.output_types import LARGEST_CODE, ZERO_OF_UINT8, OutputType

# How many times the expected loss of a row of bits is allowed: few components change side, so that rows vary.
ALLOWED_LOSSES = 3


def decode(stored: NDArray[Any], kind: OutputType) -> NDArray[np.float32]:
    """Return float32 rows, [rows, dimension], whose cosines order as a store compares the codes `stored`.

    `stored` has `kind`'s values in any numeric dtype: clients return them as floats too. Bits become 1 and -1, whose
    products fall with the Hamming distance.

    Raises:
        ValueError: they are no codes of `kind`.
    """
    values: NDArray[np.float32] = stored.astype(np.float32, copy=False)
    if not (kind.packed or kind.scaled):
        return values
    if not are_codes(values, kind).all():
        raise ValueError(f"numbers that are no codes of {kind.name}")
    lowest, _ = _codes_of(kind)
    if kind.packed:
        return np.unpackbits((values - lowest).astype(np.uint8), axis=-1).astype(np.float32) * 2 - 1
    return values - (ZERO_OF_UINT8 if kind.name == "uint8" else 0)


def are_codes(stored: NDArray[Any], kind: OutputType) -> NDArray[np.bool_]:
    """Return which rows hold only codes of `kind`, which is scaled or packed."""
    lowest, highest = _codes_of(kind)
    held: NDArray[np.bool_] = ((stored >= lowest) & (stored <= highest) & (stored == np.rint(stored))).all(axis=-1)
    return held


def nearest(stored: NDArray[Any], vectors: NDArray[np.float32], kind: OutputType, limit: float) -> NDArray[np.float32]:
    """Return of all vectors that `stored` stands for those nearest to `vectors`, [rows, dimension].

    A code stands for every component that rounds to it: a range of one step, open at the ends, where components are
    clipped; a bit for one side of zero. Where `stored` is what `vectors` are converted to, `vectors` come back.

    Raises:
        ValueError: `stored` are no codes of `kind`, or of vectors of another dimension.
    """
    codes = decode(stored, kind)
    if codes.shape != vectors.shape:
        raise ValueError(f"vectors of {codes.shape[-1]} components, expected {vectors.shape[-1]}")
    if kind.packed:
        sided: NDArray[np.float32] = np.where(codes > 0, np.maximum(vectors, 0), np.minimum(vectors, 0))
        return sided
    if not kind.scaled:
        return codes
    step = limit / LARGEST_CODE
    lowest = np.where(codes == -LARGEST_CODE, -np.inf, (codes - 0.5) * step)
    highest = np.where(codes == LARGEST_CODE, np.inf, (codes + 0.5) * step)
    return np.clip(vectors, lowest, highest).astype(np.float32)


def closeness(
    stored: NDArray[Any], vectors: NDArray[np.float32], kind: OutputType, limit: float
) -> NDArray[np.float64]:
    """Return the largest cosine that the vectors behind `stored` can have to the unit `vectors`, for each row.

    It is 1 - |nearest - vector|² / 2, which is at least the cosine of the vector that was converted.

    Raises:
        ValueError: as `nearest`.
    """
    away = nearest(stored, vectors, kind, limit).astype(np.float64) - vectors
    near: NDArray[np.float64] = 1 - (away * away).sum(axis=1) / 2
    return near


def least_closeness(kind: OutputType, cosine: float) -> float:
    """Return the least closeness of codes of vectors that have at least `cosine` to the vectors compared with.

    Only components that change side count for bits, and those are small. At an angle θ between random vectors the
    closeness is 1 - (θ - sin θ · cos θ) / 2π on average: each component and its counterpart are two normal variables
    with correlation cos θ, and the squares of those on different sides add up to (θ - sin θ · cos θ) / π.
    """
    if not kind.packed:
        return cosine
    angle = math.acos(cosine)
    return 1 - ALLOWED_LOSSES * (angle - math.sin(angle) * cosine) / (2 * math.pi)


def _codes_of(kind: OutputType) -> tuple[int, int]:
    """Return the least and the largest code of a scaled or packed type."""
    if kind.packed:
        whole = np.iinfo(np.dtype(kind.dtype))
        return int(whole.min), int(whole.max)
    zero = ZERO_OF_UINT8 if kind.name == "uint8" else 0
    return zero - LARGEST_CODE, zero + LARGEST_CODE
