"""The number types in which vectors are returned and stored, and their conversion from float32.

int8 is symmetric with one range for all components, so that products, cosines and distances of the codes are those of
the vectors, up to rounding, without rescaling: `component ≈ code · scale`, where `scale = range / 127`. uint8 is
`int8 + 128`. binary keeps the sign of each component: eight to a byte, the first in the highest bit.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

OutputName = Literal["float", "float16", "int8", "uint8", "binary", "ubinary"]
OUTPUT_NAMES: tuple[OutputName, ...] = get_args(OutputName)

LARGEST_CODE = 127
ZERO_OF_UINT8 = 128
COMPONENTS_PER_BYTE = 8
# Clipping costs more accuracy than a slightly larger step.
RANGE_MARGIN = 1.1


@dataclass(frozen=True, slots=True)
class OutputType:
    """One type: its little-endian numpy dtype, and the longest JSON number of it with its comma, in bytes.

    `scaled` types need a range; `packed` types hold eight components in a value.
    """

    name: OutputName
    dtype: str
    json_bytes: int
    scaled: bool = False
    packed: bool = False

    def width(self, dimensions: int) -> int:
        """Return the values of a vector of `dimensions` components."""
        return dimensions // COMPONENTS_PER_BYTE if self.packed else dimensions

    def bytes_of(self, dimensions: int) -> int:
        """Return the bytes of a vector of `dimensions` components."""
        return self.width(dimensions) * np.dtype(self.dtype).itemsize


FLOAT = OutputType("float", "<f4", json_bytes=24)
TYPES: dict[OutputName, OutputType] = {
    kind.name: kind
    for kind in (
        FLOAT,
        OutputType("float16", "<f2", json_bytes=24),
        OutputType("int8", "|i1", json_bytes=5, scaled=True),
        OutputType("uint8", "|u1", json_bytes=4, scaled=True),
        OutputType("binary", "|i1", json_bytes=5, packed=True),
        OutputType("ubinary", "|u1", json_bytes=4, packed=True),
    )
}


def convert(vectors: NDArray[np.float32], kind: OutputType, limit: float = 1.0) -> NDArray[Any]:
    """Convert vectors, [texts, dimension], to `kind`: [texts, `kind.width(dimension)`].

    `limit` is the range of scaled types: larger magnitudes are clipped. `binary` and `ubinary` are packed as
    sentence-transformers' `quantize_embeddings` does.
    """
    if kind.packed:
        bits = np.packbits(vectors > 0, axis=1)
        return bits if kind.name == "ubinary" else (bits ^ np.uint8(ZERO_OF_UINT8)).view(np.int8)
    if kind.scaled:
        codes: NDArray[np.float32] = np.clip(
            np.rint(vectors * np.float32(LARGEST_CODE / limit)), -LARGEST_CODE, LARGEST_CODE
        )
        return codes.astype(np.int8) if kind.name == "int8" else (codes + ZERO_OF_UINT8).astype(np.uint8)
    converted: NDArray[Any] = vectors.astype(kind.dtype, copy=False)
    return converted


def calibrate_ranges(vectors: NDArray[np.float32]) -> list[float]:
    """Return the int8 range for each number of dimensions: the d-th for vectors cut to d components and renormalized.

    It is the largest magnitude of a component in calibration `vectors`, [texts, dimension], with a margin, and at most
    1, which no component of a unit vector exceeds.
    """
    squares = np.cumsum(vectors.astype(np.float64) ** 2, axis=1)
    largest = np.maximum.accumulate(np.abs(vectors), axis=1)
    reached = (largest / np.sqrt(np.maximum(squares, np.finfo(np.float32).tiny))).max(axis=0)
    return [round(min(1.0, max(RANGE_MARGIN * float(value), 1e-6)), 6) for value in reached]
