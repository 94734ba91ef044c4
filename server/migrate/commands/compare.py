"""Compares the nearest neighbours of the same texts in two sets of vectors, which may differ in dimension."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server.inference.engine import Vectors
from server.migrate.commands.open_stored import open_stored
from server.migrate.errors import MigrateError
from server.migrate.job.reservoir import Reservoir
from server.model.stored_codes import decode
from server.secret import mask

NEIGHBOURS = 10
# Two samples of this size at 1,024 dimensions take 40 MB, and searching them takes a second.
SAMPLE = 5000
QUERIES = 500
EXAMPLES = 5
SEED = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One query whose neighbours changed; the ids are ordered nearest first."""

    query: str
    overlap: float
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NeighbourComparison:
    """The result. `overlap` is the mean share of a query's old neighbours that are also its new neighbours.

    `examples` are the queries that changed most.
    """

    sample: int
    queries: int
    neighbours: int
    overlap: float
    first_changed: float
    examples: tuple[Change, ...]

    def lines(self) -> list[str]:
        """Format the comparison as lines of text."""
        return [
            f"compared {self.queries} queries among {self.sample} sampled ids",
            f"mean overlap of the {self.neighbours} nearest neighbours: {self.overlap:.3f}",
            f"queries whose first neighbour changed: {self.first_changed:.1%}",
            *(f"{one.query}: {' '.join(one.old)} -> {' '.join(one.new)}" for one in self.examples),
        ]


def check_stored(where: str) -> None:
    """Check that the vectors to compare with can be read.

    Raises:
        MigrateError: they cannot be read.
    """
    with closing(open_stored(where)) as stored:
        next(iter(stored.ids()), None)


def compare_stores(
    old: str, new: str, sample: int = SAMPLE, queries: int = QUERIES, journal: Path | None = None
) -> NeighbourComparison:
    """Compare two stores or files, of any output types, by a sample of the ids that both have.

    `journal` is the folder of the job that wrote `new`, if it is not beside it.

    Raises:
        MigrateError: one of them cannot be read, or they share too few ids.
    """
    with closing(open_stored(old)) as before, closing(open_stored(new, journal)) as after:
        drawn = draw(before.ids(), sample)
        old_vectors, new_vectors = before.vectors(drawn), after.vectors(drawn)
        kinds = before.output().kind, after.output().kind
    shared = [id_ for id_ in drawn if id_ in old_vectors and id_ in new_vectors]
    if len(shared) < 2:
        raise MigrateError(
            f"{len(shared)} of {len(drawn)} sampled ids of the old store are in the new one; "
            f"neighbours can be compared only where both use the same ids (and no --chunk)"
        )
    stacked = [np.stack([vectors[id_] for id_ in shared]) for vectors in (old_vectors, new_vectors)]
    try:
        old_rows, new_rows = (decode(rows, kind) for rows, kind in zip(stacked, kinds, strict=True))
    except ValueError as error:
        raise MigrateError(f"{mask(old)} or {mask(new)} does not hold what it says: {error}") from None
    return compare(old_rows, new_rows, shared, range(min(queries, len(shared))))


def compare(old: Vectors, new: Vectors, ids: Sequence[str], queries: Sequence[int]) -> NeighbourComparison:
    """Compare exact nearest neighbours by cosine, computed separately in each space.

    `old` [n, d1] and `new` [n, d2] are the vectors of `ids`, n at least 2; `queries` are row numbers. A query is not
    its own neighbour.
    """
    count = min(NEIGHBOURS, len(ids) - 1)
    before, after = neighbours(old, queries, count), neighbours(new, queries, count)
    kept = np.array([len(np.intersect1d(*pair)) / count for pair in zip(before, after, strict=True)])
    most_changed = [row for row in np.argsort(kept, kind="stable")[:EXAMPLES] if kept[row] < 1]
    return NeighbourComparison(
        sample=len(ids),
        queries=len(queries),
        neighbours=count,
        overlap=float(kept.mean()),
        first_changed=float((before[:, 0] != after[:, 0]).mean()),
        examples=tuple(
            Change(ids[queries[row]], float(kept[row]), _names(before[row], ids), _names(after[row], ids))
            for row in most_changed
        ),
    )


def neighbours(vectors: Vectors, queries: Sequence[int], count: int) -> np.ndarray[tuple[int, int], np.dtype[np.intp]]:
    """Find the `count` nearest other rows of each query by cosine, the nearest first: [queries, count]."""
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    asked = np.asarray(queries)
    scores = units[asked] @ units.T
    scores[np.arange(len(asked)), asked] = -np.inf
    # Equal texts have equal scores: a stable sort keeps ties from counting as a change.
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def draw(ids: Iterable[str], size: int) -> list[str]:
    """Draw a uniform sample of `size` ids with a fixed seed, in random order and with memory for `size` ids."""
    drawn = Reservoir[str](size, SEED)
    for id_ in ids:
        drawn.add(id_)
    return drawn.shuffled()


def _names(rows: Iterable[int], ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(ids[row] for row in rows)
