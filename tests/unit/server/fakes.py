"""Stand-ins for what a unit test does not want to run for real."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from server.batching.batcher import Batcher
from server.batching.calibration import Warm
from server.batching.cost_model import CostModel, Pace
from server.batching.worker_threads import WorkerThreads
from server.inference.engine import Ids, Tokens, Vectors
from server.service.result import Result
from server.serving_state import ServingState
from server.telemetry.metrics import Metrics

COST = CostModel(run_s=0.0, token_s=0.1, pair_s=0.0, packed=True)


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

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        self.batches.append([[int(id_) for id_ in sequence] for sequence in sequences])
        self.entered.set()
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        angles = np.array([sequence[0] for sequence in sequences], np.float32) / 100
        vectors = np.zeros((len(sequences), self.dimension), np.float32)
        vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
        return vectors


class MeetingEngine(FakeEngine):
    """Calls with as many texts as `size` (0: any) compute nothing until so many of them are under way."""

    def __init__(self, calls: int, size: int = 0, max_tokens: int = 16) -> None:
        super().__init__(max_tokens=max_tokens)
        self._meet = threading.Barrier(calls)
        self._size = size

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        if self._size in (0, len(sequences)):
            self._meet.wait(10)
        return super().embed(sequences)


def sequences(*lengths: int) -> list[Ids]:
    """Token ids of texts of these lengths, each of which holds its length."""
    return [np.full(length, length, np.int64) for length in lengths]


def first_ids(vectors: Vectors) -> list[int]:
    """Read back the first ids from a FakeEngine's vectors."""
    return [int(value) for value in np.rint(np.arctan2(vectors[:, 1], vectors[:, 0]) * 100)]


def unexpected(error: BaseException) -> None:
    """The inference thread of a test must not die."""
    raise AssertionError from error


def batcher(
    engine: FakeEngine,
    batch_tokens: int = 32,
    queue_tokens: int = 1000,
    clock: Callable[[], float] = lambda: 0.0,
    metrics: Metrics | None = None,
    streams: int = 1,
) -> Batcher:
    """A batcher whose machine computes ten tokens a second and stream, on a clock that stands still."""
    pace = Pace(COST, batch_tokens, batch_tokens // 2, queue_tokens, streams)
    return Batcher(engine, WorkerThreads(streams, unexpected), pace, metrics or Metrics(), ServingState(), clock)


def warmed(engine: FakeEngine, batch_tokens: int = 32, queue_tokens: int = 1000) -> Warm:
    """What warming would have found."""
    ids = np.array([1, 3, 2], np.int64)
    vector = np.zeros(engine.dimension, np.float32)
    vector[:2] = np.cos(0.01), np.sin(0.01)
    return Warm(Pace(COST, batch_tokens, batch_tokens // 2, queue_tokens), ids, vector)


def result(vectors: Vectors, tokens: int = 0) -> Result:
    """What a question came to that took no time."""
    return Result(vectors, 0, tokens, 0, 0.0, 0.0, 0.0)


def clocked(*ticks: float) -> Callable[[], float]:
    """A clock that gives these times, then stands still."""
    left = list(ticks)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def now() -> float:
    """The real clock, for deadlines."""
    return time.monotonic()
