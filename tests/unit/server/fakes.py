"""Fakes for unit tests."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from server.batching.batcher import Batcher
from server.batching.calibration import Warmed
from server.batching.cost_model import CostModel, Pace
from server.batching.job import Embedded
from server.batching.worker_threads import WorkerThreads
from server.inference.engine import Ids, Tokens, Vectors
from server.service.result import Result
from server.serving_state import ServingState
from server.telemetry.metrics import Metrics

SPACE = "tiny@0123456789ab/fp32"
COST = CostModel(run_s=0.0, token_s=0.1, pair_s=0.0, packed=True)


class FakeEngine:
    """Returns unit vectors that encode the first id of each sequence; can block and can fail."""

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
    """A barrier: runs of `size` texts (0: any) block until a given number of them are in progress."""

    def __init__(self, calls: int, size: int = 0, max_tokens: int = 16) -> None:
        super().__init__(max_tokens=max_tokens)
        self._meet = threading.Barrier(calls)
        self._size = size

    def embed(self, sequences: Sequence[Tokens]) -> Vectors:
        if self._size in (0, len(sequences)):
            self._meet.wait(10)
        return super().embed(sequences)


def sequences(*lengths: int) -> list[Ids]:
    """Return token ids of texts of these lengths, filled with their length."""
    return [np.full(length, length, np.int64) for length in lengths]


def first_ids(vectors: Vectors) -> list[int]:
    """Decode the first ids from a FakeEngine's vectors."""
    return [int(value) for value in np.rint(np.arctan2(vectors[:, 1], vectors[:, 0]) * 100)]


def unexpected(error: BaseException) -> None:
    """Fail if the inference thread dies."""
    raise AssertionError from error


class WholeBatcher(Batcher):
    """A batcher for requests whose lengths are known from the start."""

    async def embed(self, sequences: Sequence[Ids], deadline: float, since: float | None = None) -> Embedded:
        """Admit and compute one request."""
        with self.admit(list(map(len, sequences)), deadline, since) as permit:
            return await self.compute(sequences, permit)


def batcher(
    engine: FakeEngine,
    batch_tokens: int = 32,
    queue_tokens: int = 1000,
    clock: Callable[[], float] = lambda: 0.0,
    metrics: Metrics | None = None,
    streams: int = 1,
) -> WholeBatcher:
    """Return a batcher for ten tokens per second and stream, with a clock that stands still."""
    pace = Pace(COST, batch_tokens, batch_tokens // 2, queue_tokens, streams)
    return WholeBatcher(engine, WorkerThreads(streams, unexpected), pace, metrics or Metrics(), ServingState(), clock)


def warmed(engine: FakeEngine, batch_tokens: int = 32, queue_tokens: int = 1000) -> Warmed:
    """Return a calibration result."""
    ids = np.array([1, 3, 2], np.int64)
    vector = np.zeros(engine.dimension, np.float32)
    vector[:2] = np.cos(0.01), np.sin(0.01)
    return Warmed(Pace(COST, batch_tokens, batch_tokens // 2, queue_tokens), ids, vector)


def result(vectors: Vectors, tokens: int = 0) -> Result:
    """Return a result whose times are 0."""
    return Result(vectors, 0, tokens, 0, 0.0, 0.0, 0.0, SPACE)


def clocked(*ticks: float) -> Callable[[], float]:
    """Return a clock that shows these times in turn, then stands still."""
    left = list(ticks)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def now() -> float:
    """Return the time of the clock for deadlines."""
    return time.monotonic()
