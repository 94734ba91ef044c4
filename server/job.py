"""One admitted request on its way through the batches: the request as a whole, and each of its texts."""

import asyncio
from dataclasses import dataclass

from server.engine import Ids, Vectors
from server.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Embedded:
    """A request's vectors, [texts, dimension], and the seconds it spent waiting and in inference."""

    vectors: Vectors
    queue_s: float
    inference_s: float


@dataclass(eq=False, slots=True)
class Job:
    """One admitted request, until its last text is computed. Times on the batcher's clock.

    A `small` one is as good as one text: someone may be waiting for it.
    """

    vectors: Vectors
    deadline: float
    admitted: float
    remaining: int
    small: bool
    done: asyncio.Future[Embedded]
    inference_s: float = 0.0
    computed_until: float = 0.0

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
    taken: bool = False

    @property
    def tokens(self) -> int:
        """Length, special tokens included."""
        return len(self.ids)

    @property
    def due(self) -> float:
        """When its turn comes, on the virtual clock (server.turns)."""
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
