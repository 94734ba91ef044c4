"""Runs an engine on several threads, for a caller that has all texts at once and waits for all vectors."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from server.inference.engine import Engine, Ids, Vectors, split_packed


class ParallelEngine:
    """An engine whose runs are computed in parallel, one per stream."""

    def __init__(self, engine: Engine, streams: int) -> None:
        self.engine = engine
        self.streams = streams

    def embed(self, sequences: Sequence[Ids], batch_tokens: int) -> Vectors:
        """Compute unit vectors [len(sequences), dimension], in order, in runs of at most `batch_tokens`.

        The engine divides a run further by length if its graph pads.

        Raises:
            InferenceError: a run failed; raised after the runs in progress have ended.
        """
        vectors = np.empty((len(sequences), self.engine.dimension), np.float32)

        def compute(run: list[int]) -> None:
            vectors[run] = self.engine.embed([sequences[position] for position in run])

        with ThreadPoolExecutor(self.streams, "run") as pool:
            for _ in pool.map(compute, split_packed([len(ids) for ids in sequences], batch_tokens)):
                pass
        return vectors
