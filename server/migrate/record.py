"""What goes through a migration: a text on its way in, a vector on its way out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.inference.engine import Vectors


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the input; `ordinal` counts them from 0 in the input's order, rejected ones included.

    `text` is what the input holds, which may be no text at all (None, a number): embedding decides.
    """

    ordinal: int
    id: str
    text: object
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the output: a unit vector [dimension], float32, and what it belongs to.

    `place` counts the rows of this output from 0, without gaps: its row in a `.npy`.
    """

    place: int
    id: str
    text: str
    vector: Vectors
    metadata: Mapping[str, Any] = field(default_factory=dict)
