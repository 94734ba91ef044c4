"""Requests in, batches out: a thin asyncio shell around the pure plan and the inference threads.

Texts of different requests share batches, and one request's texts may spread over several. Nothing waits for a
batch to fill: whatever is queued when a thread is about to fall idle is planned then.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

import numpy as np

from server.allowance import Allowance
from server.batch import Batch, InHand
from server.cost import Load, Pace
from server.engine import Engine, Ids, Vectors
from server.errors import DeadlineError, InferenceError, OverloadedError, ServiceError, UnavailableError
from server.inference import InferenceThreads, Run
from server.job import Embedded, Job, Text
from server.metrics import Metrics
from server.plan import Limits, plan
from server.turns import Turns
from server.waiting import WaitingTexts

logger = logging.getLogger(__name__)

RATE_WEIGHT = 0.2
MAX_RETRY_AFTER_S = 60
# How long before a batch should end the next one is planned and handed over, so that its thread never waits for the
# event loop. Later arrivals miss that batch, so it is short.
LEAD_S = 0.003
# For how long after a small request large ones are computed in slices.
SLICED_S = 1.0


class Batcher:
    """Admits requests within a bound and runs planned batches on threads. Use from one event loop."""

    def __init__(
        self,
        engine: Engine,
        threads: InferenceThreads,
        pace: Pace,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run batches on `engine` and `threads`, as many at once as `pace` has streams."""
        self._engine = engine
        self._pace = pace
        self._metrics = metrics
        self._clock = clock
        self._queue = Allowance(pace.queue_tokens)
        self._tokens_per_s = pace.tokens_per_s
        self._threads = threads
        self._waiting = WaitingTexts()
        self._tickets = count()
        self._turns = Turns()
        self._small_came = -math.inf
        self._in_hand = InHand(pace.streams, clock)
        self._jobs = 0
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.failures_in_a_row = 0

    @property
    def queued_tokens(self) -> int:
        """Tokens that are admitted and not yet answered."""
        return self._queue.held

    @property
    def queued_requests(self) -> int:
        """Requests that are admitted and not yet answered."""
        return self._jobs

    @property
    def queued_s(self) -> float:
        """The time they should take at the speed measured of late."""
        return self._queue.held / self._tokens_per_s

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._engine.dimension

    @property
    def running_s(self) -> float:
        """How long a thread has been at its batch, the longest of them; 0 when all are idle."""
        return self._in_hand.running_s

    async def embed(self, sequences: Sequence[Ids], deadline: float) -> Embedded:
        """Compute vectors for one request, in order; all of its texts are admitted or none.

        Raises:
            OverloadedError: the queue is full.
            UnavailableError: the batcher is closing.
            DeadlineError: `deadline`, on this batcher's clock, passed first.
            InferenceError: a batch with texts of this request failed.
        """
        tokens = sum(map(len, sequences))
        self.check_room(tokens)
        small = tokens <= self._pace.slice_tokens
        if small:
            self._small_came = self._clock()
        due = self._turns.admit([len(ids) for ids in sequences])
        return await self._wait_for(self._admit(sequences, due, deadline, small=small), tokens)

    async def probe(self, ids: Ids, deadline: float) -> Embedded:
        """Compute one text before all that wait, whether there is room or not.

        Raises:
            DeadlineError: `deadline` passed first.
            InferenceError: it failed.
        """
        return await self._wait_for(self._admit([ids], [-math.inf], deadline, small=True), len(ids))

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

    @contextmanager
    def reserved(self, tokens: int) -> Iterator[None]:
        """Hold room for about `tokens` during the block, in which a request finds out how many it has.

        Raises:
            OverloadedError: there is none.
            UnavailableError: the batcher is closing.
        """
        self.check_room(tokens)
        share = self._queue.take(tokens)
        try:
            yield
        finally:
            self._queue.release(share)

    def retry_after_s(self) -> int:
        """Estimate when today's queue will have drained at the rate measured of late, in whole seconds."""
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(self.queued_s)))

    async def close(self, timeout_s: float) -> bool:
        """Refuse new requests and wait for the admitted ones, at most `timeout_s`; tell whether all ended."""
        self._closing = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            logger.error("inference did not end within %s s of closing", timeout_s)
        self._threads.stop()
        return self._idle.is_set()

    async def _wait_for(self, texts: list[Text], tokens: int) -> Embedded:
        job = texts[0].job
        self._jobs += 1
        self._idle.clear()
        job.done.add_done_callback(partial(self._forget, texts, self._queue.take(tokens)))
        self._dispatch()
        try:
            async with asyncio.timeout(max(0.0, job.deadline - self._clock())):
                return await job.done
        except TimeoutError:
            raise _too_late() from None

    def _admit(self, sequences: Sequence[Ids], due: Iterable[float], deadline: float, *, small: bool) -> list[Text]:
        vectors = np.empty((len(sequences), self._engine.dimension), np.float32)
        done: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()
        job = Job(vectors, deadline, self._clock(), len(sequences), small, done)
        turns = zip(due, self._tickets, strict=False)
        texts = [
            Text(job, position, ids, ids.tobytes(), turn)
            for position, (ids, turn) in enumerate(zip(sequences, turns, strict=False))
        ]
        for text in texts:
            self._waiting.add(text)
        return texts

    def _dispatch(self) -> None:
        """Start batches while a thread is idle and a text waits."""
        if self._in_hand.idle:
            limits = self._limits()
            while self._in_hand.idle and self._start(limits):
                pass

    def _prepare(self) -> None:
        """Hand the next batch over shortly before a running one ends."""
        if self._in_hand.may_prepare:
            self._start(self._limits())

    def _start(self, limits: Limits) -> bool:
        """Hand a batch over; tell whether there was one."""
        now = self._clock()
        planned = plan(self._waiting.in_turn(), self._pace.cost, limits, now)
        self._waiting.put_back(planned.waiting)
        for text in planned.expired:
            text.job.fail(_too_late())
        batch = self._claim(planned.batch)
        if not batch.texts:
            return False
        self._turns.serve(batch.load.tokens, self._jobs)
        sequences = [text.ids for text in batch.texts]
        self._threads.submit(partial(self._engine.embed, sequences), partial(self._finish, batch))
        self._begin(self._in_hand.give(batch))
        return True

    def _limits(self) -> Limits:
        sliced = self._clock() - self._small_came < SLICED_S
        return Limits.of_pace(self._pace, self._waiting.tokens, self._turns.now, sliced=sliced)

    def _claim(self, texts: Iterable[Text]) -> Batch:
        batch = Batch([], [], Load())
        load = Load()
        for text in texts:
            if sharers := self._waiting.claim(text):
                batch.texts.append(text)
                batch.sharers.append(sharers)
                load = load.plus(text.tokens)
        return Batch(batch.texts, batch.sharers, load)

    def _begin(self, batch: Batch | None) -> None:
        """Where a thread has begun `batch`, prepare the one after it in time."""
        if batch:
            left = self._pace.cost.seconds(batch.load) - LEAD_S
            asyncio.get_running_loop().call_later(max(0.0, left), self._prepare)

    def _finish(self, batch: Batch, run: Run) -> None:
        self._begin(self._in_hand.end(batch))
        if run.vectors is not None:
            self._deliver(batch, run.vectors, run.began, run.ended)
        else:
            self._fail(batch, run.error)
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
        found = self._pace.streams * load.tokens / max(seconds, 1e-6)
        self._tokens_per_s += RATE_WEIGHT * (found - self._tokens_per_s)
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

    def _forget(self, texts: list[Text], share: int, _done: asyncio.Future[Embedded]) -> None:
        self._queue.release(share)
        self._jobs -= 1
        if texts[0].job.remaining:  # it ended early: without vectors for all
            self._waiting.forget(texts)
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._in_hand and not self._jobs:
            self._idle.set()


def _too_late() -> DeadlineError:
    return DeadlineError("the request was not computed in time (REQUEST_TIMEOUT_S); send fewer texts or try later")
