"""Requests in, batches out: a pure plan of what runs next, and a thin asyncio shell around one inference thread.

Texts of different requests share batches, and one request's texts may spread over several. Nothing waits for a
batch to fill: whatever is queued when the thread falls idle is planned then.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

import numpy as np

from server.allowance import Allowance
from server.engine import Engine, Vectors
from server.errors import DeadlineError, InferenceError, OverloadedError, ServiceError, UnavailableError

logger = logging.getLogger(__name__)

# How far lengths in one batch may lie apart: a batch should end when its oldest text could have ended alone.
LIKE_TOKENS = 16
LIKE_SHARE = 4

RATE_WEIGHT = 0.2
MAX_RETRY_AFTER_S = 60


class Pending(Protocol):
    """What planning needs to know of a text. `order` and `deadline` are seconds on the clock that `now` reads."""

    @property
    def tokens(self) -> int:
        """Length, special tokens included."""
        ...

    @property
    def order(self) -> float:
        """When its turn comes; smaller goes first."""
        ...

    @property
    def deadline(self) -> float:
        """From when on computing it is useless."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        ...


PendingT = TypeVar("PendingT", bound=Pending)


@dataclass(slots=True)
class Plan(Generic[PendingT]):
    """Every pending text in exactly one list."""

    batch: list[PendingT] = field(default_factory=list)
    expired: list[PendingT] = field(default_factory=list)
    cancelled: list[PendingT] = field(default_factory=list)
    waiting: list[PendingT] = field(default_factory=list)


def plan(pending: Iterable[PendingT], budget: int, now: float) -> Plan[PendingT]:
    """Choose the next batch: the text whose turn it is, and others of like length in their order.

    The batch's padded size stays within `budget` tokens; no text may be longer than that. As the first in order
    always goes, and later requests are ordered after it, every text goes in the end.
    """
    result: Plan[PendingT] = Plan()
    longest = 0
    for text in sorted(pending, key=lambda text: text.order):
        if text.cancelled:
            result.cancelled.append(text)
        elif text.deadline <= now:
            result.expired.append(text)
        elif _joins(result.batch, text, longest, budget):
            result.batch.append(text)
            longest = max(longest, text.tokens)
        else:
            result.waiting.append(text)
    return result


def _joins(batch: Sequence[Pending], text: Pending, longest: int, budget: int) -> bool:
    if not batch:
        return True
    first = batch[0].tokens
    alike = abs(text.tokens - first) <= max(LIKE_TOKENS, first // LIKE_SHARE)
    return alike and max(longest, text.tokens) * (len(batch) + 1) <= budget


@dataclass(frozen=True, slots=True)
class Embedded:
    """A request's vectors, [texts, dimension], and the seconds it spent waiting and in inference."""

    vectors: Vectors
    queue_s: float
    inference_s: float


@dataclass(eq=False, slots=True)
class Job:
    """One admitted request, until its last text is computed."""

    vectors: Vectors
    deadline: float
    admitted: float
    remaining: int
    done: asyncio.Future[Embedded]
    inference_s: float = 0.0

    def fail(self, error: ServiceError) -> None:
        """End the request with `error`, unless it has ended already."""
        if not self.done.done():
            self.done.set_exception(error)

    def complete(self, now: float) -> None:
        """Hand over the vectors, unless nobody waits any more."""
        if not self.done.done():
            queue_s = max(0.0, now - self.admitted - self.inference_s)
            self.done.set_result(Embedded(self.vectors, queue_s, self.inference_s))


@dataclass(frozen=True, eq=False, slots=True)
class Text:
    """One queued text: its place in its request and in the order of all."""

    job: Job
    position: int
    ids: Sequence[int]
    order: float

    @property
    def tokens(self) -> int:
        """Length, special tokens included."""
        return len(self.ids)

    @property
    def deadline(self) -> float:
        """The request's deadline."""
        return self.job.deadline

    @property
    def cancelled(self) -> bool:
        """Whether the request has ended: answered, failed or given up."""
        return self.job.done.done()


class Batcher:
    """Admits requests within a bound and runs planned batches on one thread. Use from one event loop."""

    def __init__(
        self,
        engine: Engine,
        batch_tokens: int,
        queue_tokens: int,
        tokens_per_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Batch up to `batch_tokens`, hold up to `queue_tokens`; `tokens_per_s` is a first estimate of the speed."""
        self._engine = engine
        self._batch_tokens = batch_tokens
        self._queue = Allowance(queue_tokens)
        self._tokens_per_s = tokens_per_s
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._waiting: list[Text] = []
        self._running = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.failures_in_a_row = 0

    async def embed(self, sequences: Sequence[Sequence[int]], deadline: float) -> Embedded:
        """Compute vectors for one request, in order; all of its texts are admitted or none.

        Raises:
            OverloadedError: the queue is full.
            UnavailableError: the batcher is closing.
            DeadlineError: `deadline`, on this batcher's clock, passed first.
            InferenceError: a batch with texts of this request failed.
        """
        tokens = sum(map(len, sequences))
        self.check_room(tokens)
        job = self._admit(sequences, deadline)
        job.done.add_done_callback(partial(self._forget, job, self._queue.take(tokens)))
        self._dispatch()
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                return await job.done
        except TimeoutError:
            raise _too_late() from None

    def check_room(self, tokens: int = 1) -> None:
        """Tell whether `tokens` more could be admitted now.

        Raises:
            OverloadedError: they could not; an idle batcher admits any number.
            UnavailableError: the batcher is closing.
        """
        if self._closing:
            raise UnavailableError("the server is shutting down")
        if not self._queue.has_room(tokens):
            raise OverloadedError(
                f"the queue is full: {self._queue.held} of {self._queue.limit} tokens are taken; try again later",
                self.retry_after_s(),
            )

    def retry_after_s(self) -> int:
        """Estimate when today's queue will have drained, in whole seconds."""
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(self._queue.held / self._tokens_per_s)))

    async def close(self, timeout_s: float) -> None:
        """Refuse new requests and wait for the admitted ones, at most `timeout_s`."""
        self._closing = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            logger.error("inference did not end within %s s of closing", timeout_s)
        self._thread.shutdown(wait=False)

    def _admit(self, sequences: Sequence[Sequence[int]], deadline: float) -> Job:
        now = self._clock()
        vectors = np.empty((len(sequences), self._engine.dimension), np.float32)
        done: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()
        job = Job(vectors, deadline, now, len(sequences), done)
        order = now
        for position, ids in enumerate(sequences):
            self._waiting.append(Text(job, position, ids, order))
            # Each text takes its turn when it would have, had this request had the engine to itself. So a large
            # request yields to small ones that come later, and cannot be overtaken for ever: time moves on.
            order += len(ids) / self._tokens_per_s
        self._idle.clear()
        return job

    def _dispatch(self) -> None:
        if self._running:
            return
        planned = plan(self._waiting, self._batch_tokens, self._clock())
        self._waiting = planned.waiting
        for text in planned.expired:
            text.job.fail(_too_late())
        if planned.batch:
            self._start(planned.batch)

    def _start(self, batch: list[Text]) -> None:
        self._running = True
        started = self._clock()
        sequences = [text.ids for text in batch]
        run = asyncio.get_running_loop().run_in_executor(self._thread, self._engine.embed, sequences)
        run.add_done_callback(partial(self._finish, batch, started))

    def _finish(self, batch: list[Text], started: float, run: asyncio.Future[Vectors]) -> None:
        self._running = False
        error = run.exception()
        if error is None:
            self._deliver(batch, run.result(), started)
        else:
            self._fail(batch, error)
        self._dispatch()
        self._note_idle()

    def _deliver(self, batch: list[Text], vectors: Vectors, started: float) -> None:
        now = self._clock()
        self.failures_in_a_row = 0
        if now > started:
            rate = sum(text.tokens for text in batch) / (now - started)
            self._tokens_per_s += RATE_WEIGHT * (rate - self._tokens_per_s)
        for text, vector in zip(batch, vectors, strict=True):
            text.job.vectors[text.position] = vector
            text.job.remaining -= 1
        for job in {text.job for text in batch}:
            job.inference_s += now - started
            if not job.remaining:
                job.complete(now)

    def _fail(self, batch: list[Text], error: BaseException) -> None:
        self.failures_in_a_row += 1
        logger.error("a batch of %d texts failed", len(batch), exc_info=error)
        if not isinstance(error, ServiceError):
            error = InferenceError(f"inference failed ({type(error).__name__}); the request may be repeated")
        for job in {text.job for text in batch}:
            job.fail(error)

    def _forget(self, job: Job, share: int, _done: asyncio.Future[Embedded]) -> None:
        self._queue.release(share)
        if job.remaining:  # it ended early; without this, a thread that hangs would let dead texts pile up
            self._waiting = [text for text in self._waiting if text.job is not job]
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._running and not self._queue.held:
            self._idle.set()


def _too_late() -> DeadlineError:
    return DeadlineError("the request was not computed in time (REQUEST_TIMEOUT_S); send fewer texts or try later")
