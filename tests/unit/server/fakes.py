"""Stand-ins for what a unit test does not want to run for real."""

import threading
from collections.abc import Sequence

import numpy as np

from server.engine import Vectors


class FakeEngine:
    """Answers each sequence with a unit vector that carries its first id; can be held, and can fail."""

    def __init__(self, dimension: int = 8, max_tokens: int = 16) -> None:
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.batches: list[list[list[int]]] = []
        self.error: Exception | None = None
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def embed(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        self.batches.append([list(sequence) for sequence in sequences])
        self.entered.set()
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        angles = np.array([sequence[0] for sequence in sequences], np.float32) / 100
        vectors = np.zeros((len(sequences), self.dimension), np.float32)
        vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
        return vectors


def first_ids(vectors: Vectors) -> list[int]:
    """Read back the first ids from a FakeEngine's vectors."""
    return [int(value) for value in np.rint(np.arctan2(vectors[:, 1], vectors[:, 0]) * 100)]
