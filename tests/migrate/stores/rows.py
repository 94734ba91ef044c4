"""Rows and targets for tests of stores."""

from collections.abc import Sequence

import numpy as np

from server.inference.engine import Vectors
from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink, Target

DIMENSION = 8
MADE = Made("one job")
# Ids that some stores do not accept unchanged.
IDS = ("plain", "Ünïcode ☃", "7", "007", "6fa459ea-ee8a-4ca4-894e-db77e160355e", "it's", "a#0", "x" * 600, "日本語")
METADATA = {"language": "Français ☃", "page": 3, "score": 0.5, "draft": False, "none": None, "tags": ["a", "b"]}


def vectors(count: int, dimension: int = DIMENSION, seed: int = 0) -> Vectors:
    """Return random unit vectors [count, dimension]."""
    drawn = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    units: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return units


def rows(count: int, dimension: int = DIMENSION) -> list[Row]:
    """Return rows from place 0 on; the first ones have difficult ids."""
    return [
        Row(
            place,
            IDS[place] if place < len(IDS) else f"id-{place}",
            f"text {place} with 'quotes', ☃ and\na second line",
            vector,
            {**METADATA, "nested": {"place": place}} if place % 2 else {},
        )
        for place, vector in enumerate(vectors(count, dimension))
    ]


def target(
    written: int = 0,
    dimension: int = DIMENSION,
    model: str = "all-MiniLM-L6-v2",
    *,
    fresh: bool = False,
    made: Made = MADE,
    space: str = "",
) -> Target:
    """Return a target, by default always of the same job."""
    return Target(dimension, model, "int8", written, fresh, made, space)


def check(sink: Sink, written: Sequence[Row]) -> None:
    """Assert that the finished target holds exactly these rows."""
    assert sink.count() == len(written)
    fetched = sink.fetch([*((row.place, row.id) for row in written), (len(written) + 5, "not there")])
    assert set(fetched) == {row.id for row in written}
    # Chroma and Qdrant normalize again, which can change the last bit.
    assert max(float(np.abs(fetched[row.id] - row.vector).max()) for row in written) < 1e-6
