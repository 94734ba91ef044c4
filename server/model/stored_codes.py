"""What stored vectors of an output type say of the vectors that they were made from. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.model.output_types import LARGEST_CODE, ZERO_OF_UINT8, OutputType


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
    lowest, highest = _codes_of(kind)
    if not ((values >= lowest) & (values <= highest) & (values == np.rint(values))).all():
        raise ValueError(f"numbers that are no codes of {kind.name}")
    if kind.packed:
        return np.unpackbits((values - lowest).astype(np.uint8), axis=-1).astype(np.float32) * 2 - 1
    return values - (ZERO_OF_UINT8 if kind.name == "uint8" else 0)


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


def _codes_of(kind: OutputType) -> tuple[int, int]:
    """Return the least and the largest code of a scaled or packed type."""
    if kind.packed:
        whole = np.iinfo(np.dtype(kind.dtype))
        return int(whole.min), int(whole.max)
    zero = ZERO_OF_UINT8 if kind.name == "uint8" else 0
    return zero - LARGEST_CODE, zero + LARGEST_CODE
