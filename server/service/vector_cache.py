"""LRU cache of vectors."""

from collections.abc import Sequence

from cachetools import LRUCache

from server.inference.engine import Ids, Vectors
from server.telemetry.metrics import Metrics


class VectorCache:
    """The engine's uncut unit vectors, keyed by the exact token ids, which include prompt and truncation."""

    def __init__(self, entries: int, metrics: Metrics) -> None:
        """Cache up to `entries` vectors; 0 disables the cache."""
        self._vectors: LRUCache[bytes, Vectors] = LRUCache(entries)
        self._metrics = metrics

    def find(self, sequences: Sequence[Ids]) -> dict[int, Vectors]:
        """Return the cached vectors, by position in `sequences`."""
        if not self._vectors.maxsize:
            return {}
        hits = {
            position: vector
            for position, ids in enumerate(sequences)
            if (vector := self._vectors.get(ids.tobytes())) is not None
        }
        self._metrics.cache_hits.inc(len(hits))
        self._metrics.cache_misses.inc(len(sequences) - len(hits))
        return hits

    def keep(self, sequences: Sequence[Ids], vectors: Vectors) -> None:
        """Store the vectors [len(sequences), dimension] of these ids."""
        if self._vectors.maxsize:
            for ids, vector in zip(sequences, vectors, strict=True):
                # A copy, since a view of one row would keep the whole array in memory.
                self._vectors[ids.tobytes()] = vector.copy()
