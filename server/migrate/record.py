"""The units of a migration: an input record with its text, and an output row with its vector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.inference.engine import Vectors


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
    """One row of the output: a unit vector [dimension], float32, with its id, text and metadata.

    `place` is its 0-based position in the output, without gaps: its row in a `.npy`.
    """

    place: int
    id: str
    text: str
    vector: Vectors
    metadata: Mapping[str, Any] = field(default_factory=dict)
