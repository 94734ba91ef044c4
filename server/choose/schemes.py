"""The ways to compute and store a vector that are compared: precision, output type, number of dimensions. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from server.inference.engine import Vectors
from server.model.manifest import Precision
from server.model.output_types import COMPONENTS_PER_BYTE, TYPES, OutputName, convert
from server.model.stored_codes import decode
from server.service.embed_request import cut

REFERENCE: Precision = "fp32"
# uint8 and ubinary hold the same vectors as int8 and binary in other bytes.
OUTPUTS: tuple[OutputName, ...] = ("float", "float16", "int8", "binary")
SHARES = (1.0, 0.75, 0.5, 0.25)
LEAST_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class VectorScheme:
    """A way to compute and store a vector. `limit` is int8's range for its number of dimensions."""

    precision: Precision
    output: OutputName
    dimensions: int
    limit: float = 1.0

    def __str__(self) -> str:
        return f"{self.precision}, {self.output}, {self.dimensions} dimensions"

    @property
    def bytes(self) -> int:
        """The bytes of one vector."""
        return TYPES[self.output].bytes_of(self.dimensions)

    def encode(self, vectors: Vectors) -> Vectors:
        """Return unit vectors, [texts, dimension], as a store of this scheme compares them."""
        kept = cut(vectors, self.dimensions, normalize=True)
        codes = decode(convert(kept, TYPES[self.output], self.limit), TYPES[self.output])
        norms = np.linalg.norm(codes, axis=1, keepdims=True)
        unit: Vectors = (codes / np.maximum(norms, np.finfo(np.float32).tiny)).astype(np.float32)
        return unit


def schemes(
    precisions: Iterable[Precision], dimension: int, int8_range: Callable[[int], float | None]
) -> list[VectorScheme]:
    """Return every scheme of a model of `dimension` components; int8 only where its range is known."""
    return [
        VectorScheme(precision, output, dimensions, int8_range(dimensions) or 1.0)
        for precision in precisions
        for output in OUTPUTS
        for dimensions in _dimensions(dimension)
        if _possible(output, dimensions, int8_range)
    ]


def is_reference(scheme: VectorScheme, dimension: int) -> bool:
    """Return whether a scheme is the one that the others are compared with: whole vectors in fp32."""
    return (scheme.precision, scheme.output, scheme.dimensions) == (REFERENCE, "float", dimension)


def _dimensions(dimension: int) -> list[int]:
    """Return the whole dimension and shares of it in multiples of 8, which every type can hold."""
    shares = (int(dimension * share) // COMPONENTS_PER_BYTE * COMPONENTS_PER_BYTE for share in SHARES[1:])
    return [dimension, *(share for share in shares if share >= LEAST_DIMENSIONS)]


def _possible(output: OutputName, dimensions: int, int8_range: Callable[[int], float | None]) -> bool:
    kind = TYPES[output]
    return not (kind.packed and dimensions % COMPONENTS_PER_BYTE) and not (
        kind.scaled and int8_range(dimensions) is None
    )
