"""An admitted request and its texts, from admission to the result."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from server.errors import ServiceError
from server.inference.engine import Ids, Vectors


@dataclass(frozen=True, slots=True)
class Embedded:
    """A request's vectors, [texts, dimension], and the seconds it spent queued and in inference."""

    vectors: Vectors
    queue_s: float
    inference_s: float


@dataclass(eq=False, slots=True)
class Job:
    """An admitted request, until its last text is computed. Times are on the batcher's clock.

    A `small` request fits into one slice or is a single text: it takes its turn as a whole, first come, first served.
    `since` is when its caller began to wait,
    if the caller set no timeout of its own; `due_by` is when it is expected to stop waiting, and `rank` the sort key
    (server.batching.deadlines). `work_s` is the work not yet in a batch, in seconds by the measured cost.
    """

    vectors: Vectors
    deadline: float
    admitted: float
    remaining: int
    small: bool
    done: asyncio.Future[Embedded]
    since: float | None = None
    due_by: float = math.inf
    rank: float = math.inf
    work_s: float = 0.0
    begun: bool = False
    texts: list["Text"] = field(default_factory=list)
    unclaimed: int = 0
    inference_s: float = 0.0
    computed_until: float = 0.0

    def waiting_texts(self) -> Iterator["Text"]:
        """Yield the texts that are not yet in a batch, in order."""
        if self.unclaimed and not self.done.done():
            yield from (text for text in self.texts if not text.taken)

    def fail(self, error: ServiceError) -> None:
        """End the request with `error`, unless it has already ended."""
        if not self.done.done():
            self.done.set_exception(error)

    def receive(self, position: int, vector: Vectors) -> None:
        """Store the vector of one text."""
        self.vectors[position] = vector
        self.remaining -= 1

    def spend(self, began: float, ended: float) -> None:
        """Add the time of a batch with texts of this request; overlapping batches count once."""
        self.inference_s += max(0.0, ended - max(began, self.computed_until))
        self.computed_until = max(self.computed_until, ended)

    def complete(self, now: float) -> None:
        """Set the result once all vectors have been received, unless the request has already ended."""
        if not self.remaining and not self.done.done():
            queue_s = max(0.0, now - self.admitted - self.inference_s)
            self.done.set_result(Embedded(self.vectors, queue_s, self.inference_s))


@dataclass(eq=False, slots=True)
class Text:
    """A queued text: its position in the request, its unique turn among all, and whether it is in a batch (`taken`)."""

    job: Job
    position: int
    ids: Ids
    key: bytes
    turn: tuple[float, int]
    work_s: float = 0.0
    taken: bool = False

    @property
    def tokens(self) -> int:
        """Length in tokens, special tokens included."""
        return len(self.ids)

    @property
    def due(self) -> float:
        """When it is due, on the virtual clock (server.batching.fair_queue)."""
        return self.turn[0]

    @property
    def small(self) -> bool:
        """Whether its request is small."""
        return self.job.small

    @property
    def deadline(self) -> float:
        """The request's deadline."""
        return self.job.deadline

    @property
    def settled(self) -> bool:
        """Whether it is in a batch, or its request has ended: answered, failed or cancelled."""
        return self.taken or self.job.done.done()
