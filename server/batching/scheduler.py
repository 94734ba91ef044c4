"""The scheduler: admission, fair turns, deadlines and batches. Pure: no event loop, thread or socket.

The batcher runs the planned batches on threads; the tests also drive the scheduler in a simulation with its own clock.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

from server.batching.admission import Admission, Demand, retry_after_s
from server.batching.caller_patience import Patience
from server.batching.cost_model import Load, Pace
from server.batching.deadlines import Timetable
from server.batching.fair_queue import FairQueue
from server.batching.in_flight import Batch, InFlight
from server.batching.job import Job, Text
from server.batching.pending import PendingTexts
from server.batching.permit import Estimates, Permit
from server.batching.planner import BatchLimits, plan
from server.batching.throughput import Speed
from server.budget import Budget
from server.errors import OverloadedError
from server.inference.engine import Ids

# Hysteresis: fair queueing resumes once the queued large requests need at most this share of the time until the first
# deadline.
CALM = 0.5
# How long a timetable is reused. It stays valid for a while: work proceeds about as planned, and requests are appended.
TIMETABLE_S = 0.05
# How long bulk is computed in slices after a request was admitted that fits into one slice.
SLICED_S = 1.0


class Scheduler:
    """Holds the queue, the submitted batches, and the measured speed and patience; decides what runs next."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        """Schedule for an engine of this `pace`; `clock` returns seconds."""
        self.queue = Budget(pace.queue_tokens)
        self._estimates = Estimates()
        self.in_hand = InFlight(pace.streams, clock)
        self.patience = Patience()
        self.requests = 0
        self._pace = pace
        self._clock = clock
        self._speed = Speed()
        self._admission = Admission(pace, self._speed, self.patience)
        self._waiting = PendingTexts()
        self._turns = FairQueue()
        self._tickets = count()
        self._short_came = -math.inf
        self._ordered = False
        self._bound = math.inf
        self._timetable: Timetable[Job] | None = None
        self._timetable_made = -math.inf

    @property
    def queued_s(self) -> float:
        """Estimated seconds to compute all admitted tokens, at the recently measured speed."""
        return self.queue.held * self._speed.ratio / self._pace.tokens_per_s

    def demand(self, lengths: Iterable[int], deadline: float, since: float | None) -> Demand:
        """Return the demand of a request with texts of these lengths."""
        return Demand.of(lengths, self._pace, deadline, since)

    def check_room(self, tokens: int) -> None:
        """Check that the queue has room for `tokens` more.

        Raises:
            OverloadedError: the queue is full.
        """
        if not self.queue.has_room(tokens):
            raise OverloadedError(
                f"the queue is full: {self.queue.held} of {self.queue.limit} tokens are taken; try again later",
                retry_after_s(self.queued_s),
            )

    def check(self, demand: Demand) -> None:
        """Check that `demand` could be admitted now. An idle server admits any request, whatever the estimates say.

        Raises:
            OverloadedError: the queue is full, or the request cannot be finished in time at the current load.
            DeadlineError: it could not be finished in time even on an idle server.
        """
        self.check_room(demand.tokens)
        self._check_time(demand, self._estimates)

    @contextmanager
    def admit(self, demand: Demand, room: int = 1) -> Iterator[Permit]:
        """Reserve queue space during the block for a request with the estimated demand `demand`.

        With fewer than `room` free tokens in the queue it is refused even if it needs fewer.

        Raises:
            OverloadedError: the queue is full, or the request cannot be finished in time at the current load.
            DeadlineError: it could not be finished in time even on an idle server.
        """
        self.check_room(room)
        self.check(demand)
        permit = Permit(demand, self.queue, self._estimates)
        try:
            yield permit
        finally:
            permit.release()

    def settle(self, permit: Permit, lengths: Iterable[int]) -> None:
        """Replace the estimate by the actual lengths, if the request can still be finished in time.

        Requests still being tokenized do not count against it, since most of them were admitted later.

        Raises:
            OverloadedError: the queue has no room for the actual lengths, or the request can no longer be finished in
                time, possibly because of requests enqueued meanwhile.
            DeadlineError: the request could not be finished in time even on an idle server.
        """
        demand = self.demand(lengths, permit.demand.deadline, permit.demand.since)
        permit.release()
        self.check_room(demand.tokens)
        self._check_time(demand, Estimates())
        permit.settle(demand)

    def enqueue(self, job: Job, sequences: Sequence[Ids], demand: Demand) -> None:
        """Enqueue the texts of a new request."""
        now = self._clock()
        if demand.tokens <= self._pace.slice_tokens:
            self._short_came = now
        self._admission.note(demand, now)
        job.due_by = self._admission.due_by(demand.work_s, job.deadline, job.since, now)
        job.rank = self._admission.rank(job.due_by, now)
        due = self._turns.admit([len(ids) for ids in sequences], whole=job.small)
        self._add(job, sequences, due)
        if self._timetable and not job.small:
            self._timetable.add(job)

    def enqueue_first(self, job: Job, sequences: Sequence[Ids]) -> None:
        """Enqueue the texts of a small request ahead of all others."""
        self._add(job, sequences, [-math.inf] * len(sequences))

    def limits(self) -> BatchLimits:
        """Return the limits of the next batch of each idle stream."""
        now, turns = self._clock(), self._turns
        # Ordered by deadline, large requests share one virtual time, which decides for all whether they may join a
        # batch for small ones.
        horizon = math.inf if self._ordered else turns.now
        if self._ordered and turns.large >= turns.now:
            horizon = -math.inf
        sliced = now - self._short_came < SLICED_S
        return BatchLimits.of_pace(self._pace, self._waiting.tokens, horizon, sliced=sliced)

    def next_batch(self, limits: BatchLimits) -> tuple[Batch, list[Text]]:
        """Plan the next batch, empty if nothing is queued; also return the texts that have expired."""
        now = self._clock()
        jobs = self._by_deadline(now)
        texts = self._waiting.in_turn() if jobs is None else self._waiting.in_order(jobs, self._turns.large)
        planned = plan(texts, self._pace.cost, limits, now, self._lead_s(limits))
        self._waiting.put_back(text for text in planned.waiting if text.small or jobs is None)
        return self._claim(planned.batch), planned.expired

    def end(self, batch: Batch, seconds: float | None) -> Batch | None:
        """Record that a batch ended, after `seconds` if it was computed; return the one that started in its place."""
        if seconds is not None:
            self._speed.note(self._pace.cost.seconds(batch.load), seconds)
        return self.in_hand.end(batch)

    def forget(self, job: Job) -> int:
        """Drop the queued texts of a request that has ended; return their number."""
        dropped = self._waiting.forget(job.texts) if job.unclaimed else 0
        if not self._waiting.large:
            self._timetable = None  # it would keep ended requests and their vectors in memory while idle
        return dropped

    def _add(self, job: Job, sequences: Sequence[Ids], due: Iterable[float]) -> None:
        turns = zip(due, self._tickets, strict=False)
        job.texts = [
            Text(job, position, ids, ids.tobytes(), turn, self._pace.work_s(len(ids)))
            for position, (ids, turn) in enumerate(zip(sequences, turns, strict=False))
        ]
        for text in job.texts:
            self._waiting.add(text)

    def _check_time(self, demand: Demand, tokenized: Estimates) -> None:
        if self.queue.held:
            now = self._clock()
            start = self._start(now) + self._admission.stretch * tokenized.small_s
            self._admission.check(demand, start, partial(self._order, now), now, tokenized.large_s)

    def _start(self, now: float) -> float:
        """Estimate when all queued small requests will have been computed."""
        busy_s = self.in_hand.left_s(self._pace.cost, self._speed.ratio)
        return now + busy_s + self._admission.stretch * self._waiting.small_s

    def _order(self, now: float) -> Timetable[Job]:
        self._learn(now)
        if self._timetable is None or now - self._timetable_made >= TIMETABLE_S:
            stretch = self._admission.large_stretch(now)
            self._timetable = Timetable(self._waiting.large, self._start(now), stretch)
            self._timetable_made = now
        return self._timetable

    def _learn(self, now: float) -> None:
        """Apply a changed patience bound to the large requests already queued."""
        bound = self.patience.bound(now)
        if bound == self._bound:
            return
        self._bound = bound
        self._timetable = None
        for job in self._waiting.large:
            job.due_by = self._admission.due_by(job.work_s, job.deadline, job.since, now)
            job.rank = self._admission.rank(job.due_by, job.admitted)

    def _by_deadline(self, now: float) -> Iterator[Job] | None:
        """Return the large requests in deadline order, or None if fair turns finish all of them in time."""
        order = self._order(now)
        if order.pressure <= (CALM if self._ordered else 1.0):
            if self._ordered:
                self._waiting.restart(self._turns.large)
            self._ordered = False
            return None
        if not self._ordered:
            self._turns.join_large()
            self._ordered = True
        return iter(order)

    def _lead_s(self, limits: BatchLimits) -> float:
        """Return how long before its deadline a large request must start: a batch's time, or 0 if none is in flight."""
        if not self.in_hand:
            return 0.0
        tokens = min(limits.bulk_tokens, self._waiting.tokens)
        return self._speed.ratio * tokens / self._pace.cost.tokens_per_s(tokens) if tokens else 0.0

    def _claim(self, texts: Iterable[Text]) -> Batch:
        chosen, sharers, load, large = [], [], Load(), len(self._waiting.large)
        for text in texts:
            if alike := self._waiting.claim(text):
                chosen.append(text)
                sharers.append(alike)
                load = load.plus(text.tokens)
        if self._ordered:
            self._turns.serve_large(sum(text.tokens for text in chosen if not text.small), large)
        self._turns.serve(load.tokens, self.requests)
        return Batch(chosen, sharers, load)
