"""Dynamic batching: a thin asyncio shell around the pure scheduler and the inference threads.

A batch can hold texts of several requests, and a request's texts can be spread over several batches. There is no
batching delay: a batch is formed of whatever is queued when a thread is about to become idle.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from server.batching.admission import retry_after_s, too_late
from server.batching.cost_model import Pace
from server.batching.in_flight import Batch
from server.batching.job import Embedded, Job
from server.batching.permit import Permit
from server.batching.planner import BatchLimits
from server.batching.scheduler import Scheduler
from server.batching.worker_threads import BatchRun, WorkerThreads
from server.errors import InferenceError, ServiceError, UnavailableError
from server.inference.engine import Engine, Ids, Vectors
from server.serving_state import Phase, ServingState
from server.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

# How long before the expected end of a batch the next one is submitted, so that the thread never waits for the event
# loop. Kept short, because later arrivals miss that batch.
LEAD_S = 0.003


class Batcher:
    """Admits requests into a bounded queue and runs them in batches on threads. Use from one event loop."""

    def __init__(
        self,
        engine: Engine,
        threads: WorkerThreads,
        pace: Pace,
        metrics: Metrics,
        state: ServingState,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run up to `pace.streams` batches at once on `engine` and `threads`, until `state` is stopped."""
        self._engine = engine
        self._pace = pace
        self._metrics = metrics
        self._clock = clock
        self._threads = threads
        self._scheduler = Scheduler(pace, clock)
        self._in_hand = self._scheduler.in_hand
        self._queue = self._scheduler.queue
        self._state = state
        self._idle = asyncio.Event()
        self._idle.set()
        self.failures_in_a_row = 0

    @property
    def queued_tokens(self) -> int:
        """Tokens admitted and not yet answered."""
        return self._queue.held

    @property
    def queued_requests(self) -> int:
        """Requests admitted and not yet answered."""
        return self._scheduler.requests

    @property
    def queued_s(self) -> float:
        """Estimated seconds to compute all admitted tokens, at the recently measured speed."""
        return self._scheduler.queued_s

    @property
    def patience_s(self) -> float:
        """Learned seconds that callers who set no timeout wait; infinite if unknown."""
        return self._scheduler.patience.bound(self._clock())

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        return self._engine.dimension

    @property
    def running_s(self) -> float:
        """Seconds that the oldest running batch has been running; 0 if all threads are idle."""
        return self._in_hand.running_s

    @contextmanager
    def admit(
        self, lengths: Sequence[int], deadline: float, since: float | None = None, room: int = 1
    ) -> Iterator[Permit]:
        """Reserve queue space during the block for a request with texts of these lengths, which may be estimates.

        `since` is when its caller began to wait, if the caller set no timeout of its own; it and `deadline` are on this
        batcher's clock. With fewer than `room` free tokens in the queue the request is refused even if it needs fewer.

        Raises:
            OverloadedError: the queue is full, or requests ahead take longer than the caller waits.
            UnavailableError: the batcher is closing.
            DeadlineError: the request alone would miss its deadline.
        """
        self._check_open()
        with self._scheduler.admit(self._scheduler.demand(lengths, deadline, since), room) as permit:
            yield permit

    async def compute(self, sequences: Sequence[Ids], permit: Permit) -> Embedded:
        """Compute vectors for the texts of an admitted request, in order.

        Raises:
            OverloadedError: they exceed the estimate, and there is not enough room or time for them.
            UnavailableError: the batcher is closing.
            DeadlineError: the deadline passed, or would pass, first.
            InferenceError: a batch with texts of this request failed.
        """
        self._check_open()
        self._scheduler.settle(permit, map(len, sequences))
        demand = permit.demand
        job = self._job(len(sequences), demand.deadline, demand.since, small=demand.small)
        self._scheduler.enqueue(job, sequences, demand)
        return await self._wait_for(job)

    async def probe(self, ids: Ids, deadline: float) -> Embedded:
        """Compute one text ahead of the queue, even if the queue is full.

        Raises:
            DeadlineError: `deadline` passed first.
            InferenceError: inference failed.
        """
        job = self._job(1, deadline, None, small=True)
        self._scheduler.enqueue_first(job, [ids])
        share = self._queue.take(len(ids))
        try:
            return await self._wait_for(job)
        finally:
            self._queue.release(share)

    def check_room(self, tokens: int = 1) -> None:
        """Check that the queue has room for `tokens` more; an idle one has room for any number.

        Raises:
            OverloadedError: the queue is full.
            UnavailableError: the batcher is closing.
        """
        self._check_open()
        self._scheduler.check_room(tokens)

    def check_time(self, deadline: float) -> None:
        """Check that the shortest text would be computed before `deadline`.

        Raises:
            OverloadedError: requests ahead take longer.
            UnavailableError: the batcher is closing.
            DeadlineError: it would miss the deadline even alone.
        """
        self._check_open()
        self._scheduler.check(self._scheduler.demand([1], deadline, None))

    def note_patience(self, age_s: float, *, left: bool) -> None:
        """Record that a caller without a timeout of its own hung up (`left`) or was answered after `age_s`."""
        self._scheduler.patience.note(age_s, self._clock(), left=left)

    def retry_after_s(self) -> int:
        """Estimate when the current queue will have drained at the recently measured rate, in whole seconds."""
        return retry_after_s(self.queued_s)

    async def close(self, timeout_s: float) -> bool:
        """Refuse new requests and wait up to `timeout_s` for the admitted ones; return whether all ended."""
        self._state.stop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            logger.error("inference did not end within %s s of closing", timeout_s)
        self._threads.stop()
        return self._idle.is_set()

    def _check_open(self) -> None:
        if self._state.phase is Phase.STOPPED:
            raise UnavailableError("the server is shutting down")

    def _job(self, texts: int, deadline: float, since: float | None, *, small: bool) -> Job:
        vectors = np.empty((texts, self._engine.dimension), np.float32)
        done: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()
        return Job(vectors, deadline, self._clock(), texts, small, done, since)

    async def _wait_for(self, job: Job) -> Embedded:
        self._scheduler.requests += 1
        self._idle.clear()
        job.done.add_done_callback(partial(self._forget, job))
        self._dispatch()
        try:
            async with asyncio.timeout(max(0.0, job.deadline - self._clock())):
                return await job.done
        except TimeoutError:
            raise too_late() from None

    def _dispatch(self) -> None:
        """Start batches while a thread is idle and texts are queued."""
        if self._in_hand.idle:
            limits = self._scheduler.limits()
            while self._in_hand.idle and self._start(limits):
                pass

    def _prepare(self) -> None:
        """Submit the next batch shortly before a running one ends."""
        if self._in_hand.may_prepare:
            self._start(self._scheduler.limits())

    def _start(self, limits: BatchLimits) -> bool:
        """Submit the next batch; return whether there was one."""
        batch, expired = self._scheduler.next_batch(limits)
        for text in expired:
            text.job.fail(too_late())
        if not batch.texts:
            return False
        self._threads.submit(partial(self._compute, batch), partial(self._finish, batch))
        self._begin(self._in_hand.give(batch))
        return True

    def _compute(self, batch: Batch) -> Vectors:
        """Run `batch` on an inference thread, unless all of its requests have ended."""
        if not batch.wanted:
            return np.empty((0, self._engine.dimension), np.float32)
        return self._engine.embed([text.ids for text in batch.texts])

    def _begin(self, batch: Batch | None) -> None:
        """If a thread has started `batch`, schedule the submission of the next one."""
        if batch:
            left = self._pace.cost.seconds(batch.load) - LEAD_S
            asyncio.get_running_loop().call_later(max(0.0, left), self._prepare)

    def _finish(self, batch: Batch, run: BatchRun) -> None:
        computed = run.vectors is not None and len(run.vectors) > 0
        self._begin(self._scheduler.end(batch, run.ended - run.began if computed else None))
        if run.vectors is None:
            self._fail(batch, run.error)
        elif computed:
            self._deliver(batch, run.vectors, run.began, run.ended)
        self._dispatch()
        self._note_idle()

    def _deliver(self, batch: Batch, vectors: Vectors, began: float, ended: float) -> None:
        self.failures_in_a_row = 0
        self._measure(batch, ended - began)
        for sharers, vector in zip(batch.sharers, vectors, strict=True):
            for text in sharers:
                text.job.receive(text.position, vector)
        now = self._clock()
        for job in batch.jobs():
            job.spend(began, ended)
            job.complete(now)

    def _measure(self, batch: Batch, seconds: float) -> None:
        load, metrics = batch.load, self._metrics
        metrics.batch_seconds.observe(seconds)
        metrics.batch_tokens.observe(load.tokens)
        metrics.batch_texts.observe(load.texts)
        metrics.useful_tokens.inc(load.tokens)
        metrics.computed_tokens.inc(self._pace.cost.computed(load))
        metrics.shared_texts.inc(sum(map(len, batch.sharers)) - load.texts)

    def _fail(self, batch: Batch, error: BaseException | None) -> None:
        self.failures_in_a_row += 1
        self._metrics.batch_failures.inc()
        logger.error("a batch of %d texts failed", len(batch.texts), exc_info=error)
        if not isinstance(error, ServiceError):
            error = InferenceError(f"inference failed ({type(error).__name__}); the request may be repeated")
        for job in batch.jobs():
            job.fail(error)

    def _forget(self, job: Job, _done: asyncio.Future[Embedded]) -> None:
        self._scheduler.requests -= 1
        self._metrics.dropped_texts.inc(self._scheduler.forget(job))
        job.texts.clear()
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._in_hand and not self._scheduler.requests:
            self._idle.set()
