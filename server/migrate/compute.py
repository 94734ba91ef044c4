"""Token ids to vectors, as fast as the engine can: each text once, texts of like length in one run."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from server.engine import Engine, Ids, Vectors, split_packed
from server.migrate.memo import Memo
from server.question import cut

KEY_BYTES = 16


class Computer:
    """An engine, the tokens that it computes in one run, and what it computed already."""

    def __init__(self, engine: Engine, batch_tokens: int, dimensions: int | None, memo: Memo | None) -> None:
        """Keep `dimensions` components (None: all); `memo` None computes each text, repeated or not."""
        self._engine = engine
        self._batch_tokens = batch_tokens
        self._dimensions = dimensions
        self._memo = memo

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._dimensions or self._engine.dimension

    def vectors(self, sequences: Sequence[Ids]) -> tuple[Vectors, int]:
        """Return unit vectors [len(sequences), dimension], in order, and how many of them were there already.

        Raises:
            InferenceError: the engine failed.
        """
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
        vectors = np.empty((len(sequences), self.dimension), np.float32)
        # Every run within the budget that was measured; a graph that pads divides it further by length.
        for run in split_packed([len(ids) for ids in sequences], self._batch_tokens):
            vectors[run] = cut(self._engine.embed([sequences[position] for position in run]), self._dimensions, True)
        return vectors
