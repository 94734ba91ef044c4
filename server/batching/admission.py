"""Admission control: refuses a request that would be finished too late. Pure: the caller passes the time.

A request is refused if its estimated completion, behind everything admitted before it and at the recently measured
speed, is too late. Refusing hopeless requests early keeps the others useful under overload (Zhou et al., "Overload
Control for Scaling WeChat Microservices" (DAGOR), SoCC 2018). The queue is bounded by the time spent in it, as in CoDel
(Nichols, Jacobson: ACM Queue 10, 2012), with the age at which callers hang up in place of a fixed target (Maurer, "Fail
at Scale", ACM Queue 13, 2015).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from server.batching.caller_patience import Patience
from server.batching.cost_model import Pace
from server.batching.deadlines import QueuedT, Timetable
from server.batching.throughput import Rate, Speed
from server.errors import Cause, DeadlineError, OverloadedError

MAX_RETRY_AFTER_S = 60
# Share of a request's time that estimates may use up; the rest allows for estimation errors and for sending the answer.
PLANNED = 0.9
# Requests without an earlier deadline are ranked as if they were due this long after admission, hence first in, first
# out among themselves. Twice what the default queue takes to drain: they yield to impatient requests, but not forever.
PATIENT_S = 10.0
# Time constant of the measured rate of small requests' work, which is not available to large ones.
SMALL_WINDOW_S = 2.0
LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Demand:
    """A request's demand: tokens, and seconds of work on one stream by the measured cost.

    A `small` request cannot be divided into slices: it fits into one, or is a single text. `since` is when its caller
    began to wait, if the caller set no timeout of its own.
    """

    tokens: int
    work_s: float
    small: bool
    deadline: float
    since: float | None = None

    @classmethod
    def of(cls, lengths: Iterable[int], pace: Pace, deadline: float, since: float | None = None) -> "Demand":
        """Return the demand of texts of these lengths in tokens."""
        counted = list(lengths)
        tokens = sum(counted)
        small = len(counted) == 1 or tokens <= pace.slice_tokens
        return cls(tokens, sum(map(pace.work_s, counted)), small, deadline, since)


class Admission:
    """Checks requests against the measured speed and the patience of callers."""

    def __init__(self, pace: Pace, speed: Speed, patience: Patience) -> None:
        self._pace = pace
        self._speed = speed
        self._patience = patience
        self._small = Rate(SMALL_WINDOW_S)

    @property
    def stretch(self) -> float:
        """Seconds that all streams together take for one second of work."""
        return self._speed.ratio / self._pace.streams

    def large_stretch(self, now: float) -> float:
        """Return the same for large requests, which get only the capacity that small ones leave."""
        return self.stretch / max(LEAST_SHARE, 1 - self.stretch * self._small.per_s(now))

    def note(self, demand: Demand, now: float) -> None:
        """Count an admitted request."""
        if demand.small:
            self._small.note(demand.work_s, now)

    def due_by(self, work_s: float, deadline: float, since: float | None, now: float) -> float:
        """Return when a request's caller is expected to stop waiting.

        A request that takes longer than the learned bound even on an idle server, behind one running batch, gets the
        bound on top of that time. Otherwise callers who hang up within a batch's time would have all others refused.
        """
        if since is None:
            return deadline
        tokens = self._pace.batch_tokens
        batch_s = self._speed.ratio * tokens / self._pace.cost.tokens_per_s(tokens)
        bound, own_s = self._patience.bound(now), batch_s + self.stretch * work_s
        return min(deadline, since + (bound if own_s < bound else own_s + bound))

    def rank(self, due_by: float, now: float) -> float:
        """Return a request's sort key in the order of deadlines."""
        return min(due_by, now + PATIENT_S)

    def check(
        self,
        demand: Demand,
        start: float,
        large: Callable[[], Timetable[QueuedT]],
        now: float,
        tokenized_s: float = 0.0,
    ) -> None:
        """Check that `demand` can be finished in time.

        `start` is when the small requests ahead of it will have been computed, and `large` returns the timetable of the
        queued large ones. Requests still being tokenized add `tokenized_s` of work ahead of a large one.

        Raises:
            OverloadedError: it cannot at the current load.
            DeadlineError: it could not even on an idle server.
        """
        own_s = self.stretch * demand.work_s
        if now + own_s > demand.deadline:
            raise too_late()
        due_by = self.due_by(demand.work_s, demand.deadline, demand.since, now)
        limit = now + PLANNED * max(0.0, due_by - now)
        late_s = start + own_s - limit
        if not demand.small:
            late_s = large().lateness_s(tokenized_s + demand.work_s, limit, self.rank(due_by, now))
        if late_s > 0:
            raise _refusal(late_s, limit - now, learned=due_by < demand.deadline)


def retry_after_s(seconds: float) -> int:
    """Round up to whole seconds for Retry-After, from 1 to MAX_RETRY_AFTER_S."""
    return min(MAX_RETRY_AFTER_S, max(1, math.ceil(seconds)))


def too_late() -> DeadlineError:
    """Return the error for a request that is not finished in time."""
    return DeadlineError("the request was not computed in time (REQUEST_TIMEOUT_S); send fewer texts or try later")


def _refusal(late_s: float, left_s: float, *, learned: bool) -> OverloadedError:
    cause: Cause = "patience" if learned else "deadline"
    whose = "for which callers wait of late" if learned else "that the request's deadline leaves"
    return OverloadedError(
        f"the requests before this one take longer than the {left_s:.1f} s {whose}; try again later",
        retry_after_s(late_s),
        cause,
    )
