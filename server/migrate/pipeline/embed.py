"""Embeds token ids, computing equal sequences once and reusing the vectors of earlier windows."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from server.inference.engine import Ids, Vectors
from server.migrate.pipeline.parallel_engine import ParallelEngine
from server.migrate.pipeline.vector_memo import VectorMemo
from server.service.embed_request import cut

KEY_BYTES = 16


class Embedder:
    """An engine with its tokens per run and a memo of vectors computed before."""

    def __init__(
        self, runner: ParallelEngine, batch_tokens: int, dimensions: int | None, memo: VectorMemo | None
    ) -> None:
        """Keep `dimensions` components (None: all); without a `memo` every text is computed, even if repeated."""
        self._runner = runner
        self._batch_tokens = batch_tokens
        self._dimensions = dimensions
        self._memo = memo

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        return self._dimensions or self._runner.engine.dimension

    def vectors(self, sequences: Sequence[Ids]) -> tuple[Vectors, int]:
        """Return unit vectors [len(sequences), dimension], in order, and how many of them were not computed anew.

        Raises:
            InferenceError: the engine failed.
        """
        if not sequences:
            return np.empty((0, self.dimension), np.float32), 0
        if self._memo is None:
            return self._compute(sequences), 0
        keys = [blake2b(ids.tobytes(), digest_size=KEY_BYTES).digest() for ids in sequences]
        vectors = self._memo.find(keys)
        new = {key: ids for key, ids in zip(keys, sequences, strict=True) if key not in vectors}
        computed = self._compute(list(new.values()))
        self._memo.keep(list(new), computed)
        vectors |= dict(zip(new, computed, strict=True))
        return np.stack([vectors[key] for key in keys]), len(keys) - len(new)

    def _compute(self, sequences: Sequence[Ids]) -> Vectors:
        return cut(self._runner.embed(sequences, self._batch_tokens), self._dimensions, True)
