"""Batches on their way through the inference threads."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from server.batching.cost_model import CostModel, Load
from server.batching.job import Job, Text


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Texts that run together, and for each of them all that wait for its vector, itself included."""

    texts: list[Text]
    sharers: list[list[Text]]
    load: Load

    @property
    def wanted(self) -> bool:
        """Whether any of its callers still waits."""
        return any(not text.job.done.done() for sharers in self.sharers for text in sharers)

    def jobs(self) -> set[Job]:
        """The requests that have a text here."""
        return {text.job for sharers in self.sharers for text in sharers}


class InFlight:
    """The batches that the threads have been given: as many run as there are streams, the others are prepared.

    A thread that ends one takes the next by itself, in the order they were given, so that it never waits for the event
    loop; hence what runs is known without asking the threads.
    """

    def __init__(self, streams: int, clock: Callable[[], float]) -> None:
        self._streams = streams
        self._clock = clock
        self._began: dict[Batch, float] = {}
        self._prepared: deque[Batch] = deque()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._began) + len(self._prepared)

    @property
    def idle(self) -> bool:
        """Whether a stream has nothing to do."""
        return len(self._began) < self._streams

    @property
    def may_prepare(self) -> bool:
        """Whether all streams are busy, and not each has its next batch yet."""
        return not self.idle and len(self._prepared) < self._streams

    @property
    def running_s(self) -> float:
        """How long the oldest of those that run has been running; 0 where none does."""
        return self._clock() - min(self._began.values()) if self._began else 0.0

    def left_s(self, cost: CostModel, ratio: float) -> float:
        """Estimate how long a stream has to compute what was given, at `ratio` times what `cost` says; in seconds."""
        now = self._clock()
        begun = ((ratio * cost.seconds(batch.load), now - began) for batch, began in self._began.items())
        left = sum(max(0.0, expected - passed) for expected, passed in begun)
        return (left + sum(ratio * cost.seconds(batch.load) for batch in self._prepared)) / self._streams

    def give(self, batch: Batch) -> Batch | None:
        """Add a batch; return it if it begins at once."""
        if not self.idle:
            self._prepared.append(batch)
            return None
        self._began[batch] = self._clock()
        return batch

    def end(self, batch: Batch) -> Batch | None:
        """Take out a batch that has run; return the one that has begun in its place."""
        del self._began[batch]
        return self.give(self._prepared.popleft()) if self._prepared else None
