"""Discrete-event simulation of the real scheduler with simulated arrivals, callers' patience and engine.

The clock is virtual and nothing is computed: half a minute takes about half a second.
"""

import asyncio
import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import TracebackType
from typing import Self

import numpy as np

from server.batching.admission import Demand
from server.batching.batcher import LEAD_S
from server.batching.cost_model import CostModel, Pace
from server.batching.in_flight import Batch
from server.batching.job import Job
from server.batching.planner import BatchLimits
from server.batching.scheduler import Scheduler
from server.errors import DeadlineError, OverloadedError

# all-MiniLM-L6-v2 in int8 on one thread: 17,700 tokens per second.
COST = CostModel(run_s=4.6e-4, token_s=5.5e-5, pair_s=2e-8, packed=True)
PACE = Pace(COST, batch_tokens=269, slice_tokens=75, queue_tokens=176_700)
# The model's longest text, for which a free queue must have room.
LONGEST = 256
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Traffic:
    """One kind of request: arrivals per second, texts and their lengths in tokens, and how long the callers wait.

    Callers pass their patience as a deadline if `announced`; otherwise they only hang up. Unless `told`, the scheduler
    learns of neither deadlines nor hang-ups: the baseline, a policy that assumes patient callers.
    """

    rate: float
    texts: int = 16
    shortest: int = 150
    longest: int = 250
    patience_s: float = math.inf
    spread: float = 0.0
    announced: bool = True
    told: bool = True


@dataclass
class Outcome:
    """Outcomes of the requests that arrived in the measured period, and the tokens delivered in it."""

    asked: int = 0
    refused: int = 0
    gone: int = 0
    delivered_tokens: int = 0
    latencies: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return a percentile of the delivered requests' latencies, in seconds; infinite if none was delivered."""
        ranked = sorted(self.latencies)
        return ranked[math.ceil(share * len(ranked)) - 1] if ranked else math.inf


@dataclass(eq=False)
class Caller:
    """The caller of one request; `room` is its share of the queue's budget."""

    traffic: Traffic
    outcome: Outcome
    counted: bool
    demand: Demand
    job: Job
    room: int


class Simulation:
    """Runs traffic against a scheduler.

    The engine's times have log-normal noise of standard deviation `noise` and are multiplied by `slowdown`.
    """

    def __init__(self, seed: int, pace: Pace = PACE, noise: float = 0.1) -> None:
        self.now = 0.0
        self.slowdown = 1.0
        self.scheduler = Scheduler(pace, lambda: self.now)
        self._pace = pace
        self._noise = noise
        self._random = random.Random(seed)  # noqa: S311 - not used for security
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._callers: dict[Job, Caller] = {}
        self._begin_s = 0.0
        self._loop = asyncio.new_event_loop()  # only creates futures

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.close()

    def run(self, *traffics: Traffic, warm_s: float, seconds: float) -> list[Outcome]:
        """Simulate a warm-up of `warm_s`, then measure for `seconds`."""
        outcomes = [Outcome() for _ in traffics]
        self._begin_s = self.now + warm_s
        end = self._begin_s + seconds
        for traffic, outcome in zip(traffics, outcomes, strict=True):
            when = self.now
            while traffic.rate and (when := when + self._random.expovariate(traffic.rate)) < end:
                self._at(when, partial(self._arrive, traffic, outcome))
        while self._events and self._events[0][0] < end:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        self.now = end
        return outcomes

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when, self.now), next(self._numbers), happen))

    def _arrive(self, traffic: Traffic, outcome: Outcome) -> None:
        lengths = [self._random.randint(traffic.shortest, traffic.longest) for _ in range(traffic.texts)]
        patience_s = min(TIMEOUT_S, traffic.patience_s * self._random.uniform(1 - traffic.spread, 1 + traffic.spread))
        deadline = self.now + (patience_s if traffic.announced and traffic.told else TIMEOUT_S)
        since = self.now if traffic.told and not traffic.announced else None
        demand = self.scheduler.demand(lengths, deadline, since)
        counted = self.now >= self._begin_s
        outcome.asked += counted
        try:
            self.scheduler.check_room(LONGEST)
            self.scheduler.check(demand)
        except (OverloadedError, DeadlineError):
            outcome.refused += counted
            return
        job = self._admit(demand, lengths)
        self._callers[job] = Caller(traffic, outcome, counted, demand, job, self.scheduler.queue.take(demand.tokens))
        self._at(self.now + patience_s, partial(self._give_up, job, left=True))
        self._dispatch()

    def _admit(self, demand: Demand, lengths: list[int]) -> Job:
        vectors = np.empty((len(lengths), 0), np.float32)
        job = Job(
            vectors, demand.deadline, self.now, len(lengths), demand.small, self._loop.create_future(), demand.since
        )
        self.scheduler.requests += 1
        # A unique first token makes every text distinct.
        self.scheduler.enqueue(
            job, [np.array([next(self._numbers), *[0] * (length - 1)]) for length in lengths], demand
        )
        return job

    def _dispatch(self) -> None:
        limits = self.scheduler.limits()
        while self.scheduler.in_hand.idle and self._start(limits):
            pass

    def _prepare(self) -> None:
        if self.scheduler.in_hand.may_prepare:
            self._start(self.scheduler.limits())

    def _start(self, limits: BatchLimits) -> bool:
        batch, expired = self.scheduler.next_batch(limits)
        for text in expired:
            self._give_up(text.job, left=False)
        if batch.texts:
            self._begin(self.scheduler.in_hand.give(batch))
        return bool(batch.texts)

    def _begin(self, batch: Batch | None) -> None:
        if batch:
            expected = self._pace.cost.seconds(batch.load)
            took = expected * self.slowdown * self._random.lognormvariate(0, self._noise) if batch.wanted else 0.0
            self._at(self.now + expected - LEAD_S, self._prepare)
            self._at(self.now + took, partial(self._finish, batch, took))

    def _finish(self, batch: Batch, took: float) -> None:
        self._begin(self.scheduler.end(batch, took or None))
        for text in (text for sharers in batch.sharers for text in sharers):
            text.job.remaining -= 1
        for job in batch.jobs():
            if not job.remaining and not job.done.done():
                self._deliver(self._callers[job])
        self._dispatch()

    def _deliver(self, caller: Caller) -> None:
        if self.now >= self._begin_s:
            caller.outcome.delivered_tokens += caller.demand.tokens
        if caller.counted:
            caller.outcome.latencies.append(self.now - caller.job.admitted)
        self._end(caller, left=False)

    def _give_up(self, job: Job, *, left: bool) -> None:
        if not job.done.done():
            caller = self._callers[job]
            caller.outcome.gone += caller.counted
            self._end(caller, left=left)

    def _end(self, caller: Caller, *, left: bool) -> None:
        job, scheduler = caller.job, self.scheduler
        job.done.cancel()
        if job.since is not None:
            scheduler.patience.note(self.now - job.since, self.now, left=left)
        scheduler.queue.release(caller.room)
        scheduler.requests -= 1
        scheduler.forget(job)
        job.texts.clear()
        del self._callers[job]
