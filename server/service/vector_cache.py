"""Vectors of texts that come again, least recently used out first."""

from collections.abc import Sequence

from cachetools import LRUCache

from server.inference.engine import Ids, Vectors
from server.telemetry.metrics import Metrics


class VectorCache:
    """Whole unit vectors by token ids, prompt and truncation included: what the engine gave for exactly these ids."""

    def __init__(self, entries: int, metrics: Metrics) -> None:
        """Keep up to `entries` vectors; 0 keeps none and costs nothing."""
        self._vectors: LRUCache[bytes, Vectors] = LRUCache(entries)
        self._metrics = metrics

    def find(self, sequences: Sequence[Ids]) -> dict[int, Vectors]:
        """Return the vectors that are here, by position in `sequences`."""
        if not self._vectors.maxsize:
            return {}
        found = {
            position: vector
            for position, ids in enumerate(sequences)
            if (vector := self._vectors.get(ids.tobytes())) is not None
        }
        self._metrics.cache_hits.inc(len(found))
        self._metrics.cache_misses.inc(len(sequences) - len(found))
        return found

    def keep(self, sequences: Sequence[Ids], vectors: Vectors) -> None:
        """Keep the vectors [len(sequences), dimension] of these ids."""
        if self._vectors.maxsize:
            for ids, vector in zip(sequences, vectors, strict=True):
                # A copy: a row of a larger answer would hold all of it in memory.
                self._vectors[ids.tobytes()] = vector.copy()
