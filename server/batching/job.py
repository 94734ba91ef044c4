"""One admitted request on its way through the batches: the request as a whole, and each of its texts."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from server.errors import ServiceError
from server.inference.engine import Ids, Vectors


@dataclass(frozen=True, slots=True)
class Embedded:
    """A request's vectors, [texts, dimension], and the seconds it spent waiting and in inference."""

    vectors: Vectors
    queue_s: float
    inference_s: float


@dataclass(eq=False, slots=True)
class Job:
    """One admitted request, until its last text is computed. Times on the batcher's clock.

    A `small` one is as good as one text: someone may be waiting for it. `since` is when its caller began to wait, where
    it did not say for how long; `due_by` is when it probably stops, and `rank` when this goes before others (see
    server.batching.deadlines). `work_s` is what is not in a batch yet, in seconds of the measured cost.
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
        """Yield the texts that no batch has yet, in order."""
        if self.unclaimed and not self.done.done():
            yield from (text for text in self.texts if not text.taken)

    def fail(self, error: ServiceError) -> None:
        """End the request with `error`, unless it has ended already."""
        if not self.done.done():
            self.done.set_exception(error)

    def receive(self, position: int, vector: Vectors) -> None:
        """Take the vector of one text."""
        self.vectors[position] = vector
        self.remaining -= 1

    def spend(self, began: float, ended: float) -> None:
        """Count a batch that had texts of this request; time in which another one had, too, counts once."""
        self.inference_s += max(0.0, ended - max(began, self.computed_until))
        self.computed_until = max(self.computed_until, ended)

    def complete(self, now: float) -> None:
        """Hand over the vectors once all are here, unless nobody waits any more."""
        if not self.remaining and not self.done.done():
            queue_s = max(0.0, now - self.admitted - self.inference_s)
            self.done.set_result(Embedded(self.vectors, queue_s, self.inference_s))


@dataclass(eq=False, slots=True)
class Text:
    """One queued text: its place in its request, its turn among all (none the same), and whether a batch has it."""

    job: Job
    position: int
    ids: Ids
    key: bytes
    turn: tuple[float, int]
    work_s: float = 0.0
    taken: bool = False

    @property
    def tokens(self) -> int:
        """Length, special tokens included."""
        return len(self.ids)

    @property
    def due(self) -> float:
        """When its turn comes, on the virtual clock (server.batching.fair_queue)."""
        return self.turn[0]

    @property
    def small(self) -> bool:
        """Whether its request is a small one."""
        return self.job.small

    @property
    def deadline(self) -> float:
        """The request's deadline."""
        return self.job.deadline

    @property
    def settled(self) -> bool:
        """Whether a batch has it, or its request has ended: answered, failed or given up."""
        return self.taken or self.job.done.done()
