"""Tracks the batches submitted to the inference threads."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from server.batching.cost_model import CostModel, Load
from server.batching.job import Job, Text


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Texts that run together, and for each of them all queued texts that share its vector, itself included."""

    texts: list[Text]
    sharers: list[list[Text]]
    load: Load

    @property
    def wanted(self) -> bool:
        """Whether any of its requests is still waiting."""
        return any(not text.job.done.done() for sharers in self.sharers for text in sharers)

    def jobs(self) -> set[Job]:
        """Return the requests that have a text in this batch."""
        return {text.job for sharers in self.sharers for text in sharers}


class InFlight:
    """The submitted batches: one per stream is running, the others are prepared.

    A thread takes its next batch from a FIFO queue without waiting for the event loop, so which batches are running is
    known without asking the threads.
    """

    def __init__(self, streams: int, clock: Callable[[], float]) -> None:
        self._streams = streams
        self._clock = clock
        self._began: dict[Batch, float] = {}
        self._prepared: deque[Batch] = deque()

    def __len__(self) -> int:
        """Number of submitted batches."""
        return len(self._began) + len(self._prepared)

    @property
    def idle(self) -> bool:
        """Whether a stream has no batch."""
        return len(self._began) < self._streams

    @property
    def may_prepare(self) -> bool:
        """Whether all streams are busy, and fewer batches than streams are prepared."""
        return not self.idle and len(self._prepared) < self._streams

    @property
    def running_s(self) -> float:
        """Seconds that the oldest running batch has been running; 0 if there is none."""
        return self._clock() - min(self._began.values()) if self._began else 0.0

    def left_s(self, cost: CostModel, ratio: float) -> float:
        """Estimate the average seconds of work left per stream, at `ratio` times what `cost` predicts."""
        now = self._clock()
        begun = ((ratio * cost.seconds(batch.load), now - began) for batch, began in self._began.items())
        left = sum(max(0.0, expected - passed) for expected, passed in begun)
        return (left + sum(ratio * cost.seconds(batch.load) for batch in self._prepared)) / self._streams

    def give(self, batch: Batch) -> Batch | None:
        """Add a batch; return it if it starts at once."""
        if not self.idle:
            self._prepared.append(batch)
            return None
        self._began[batch] = self._clock()
        return batch

    def end(self, batch: Batch) -> Batch | None:
        """Remove a finished batch; return the one that has started in its place."""
        del self._began[batch]
        return self.give(self._prepared.popleft()) if self._prepared else None
