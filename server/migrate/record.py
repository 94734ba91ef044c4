"""The units of a migration: an input record with its text, and an output row with its vector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the input; `ordinal` is its 0-based position in the input, rejected records included.

    `text` is the field's value as read, which need not be a string (None, a number); `Preparer` rejects those.
    """

    ordinal: int
    id: str
    text: object
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the output: its vector in the job's output type, with its id, text and metadata.

    The vector is a unit vector [dimension], float32, or what `output_types.convert` makes of it.

    `place` is its 0-based position in the output, without gaps: its row in a `.npy`.
    """

    place: int
    id: str
    text: str
    vector: NDArray[Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
