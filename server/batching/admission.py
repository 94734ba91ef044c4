"""Whether a request can be answered while its caller still waits. Pure: whoever asks gives the time.

Admission control by estimated completion: a request is refused when, behind all that was promised before, it would be
finished too late at the speed measured of late. Refusing at once what cannot be done is what keeps the rest useful
under overload (Zhou et al., "Overload Control for Scaling WeChat Microservices" (DAGOR), SoCC 2018). The queue is
bounded by the time in it, as CoDel does (Nichols, Jacobson: ACM Queue 10, 2012), and by the age at which callers leave
(Maurer, "Fail at Scale", ACM Queue 13, 2015) in place of a fixed target.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from server.batching.caller_patience import Patience
from server.batching.cost_model import Pace
from server.batching.deadlines import Timetable, WaitsT
from server.batching.throughput import Rate, Speed
from server.errors import Cause, DeadlineError, OverloadedError

MAX_RETRY_AFTER_S = 60
# Of the time that a request has, so much may be planned for: the rest is for what no estimate knows, and for the way of
# the answer to the caller.
PLANNED = 0.9
# Patient requests go in the order in which they came beside impatient ones, but as if they had so long to be finished:
# as the queue holds about as much, none waits longer than it would in a plain queue.
PATIENT_S = 10.0
# How far back the work of small requests is measured, which large ones cannot have.
SMALL_WINDOW_S = 2.0
LEAST_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request needs: tokens, and seconds of work of one stream by the measured cost.

    `since` is when its caller began to wait, where it did not say for how long.
    """

    tokens: int
    work_s: float
    small: bool
    deadline: float
    since: float | None = None

    @classmethod
    def of(cls, lengths: Iterable[int], pace: Pace, deadline: float, since: float | None = None) -> "Ask":
        """Sum up texts of these lengths in tokens."""
        counted = list(lengths)
        tokens = sum(counted)
        return cls(tokens, sum(map(pace.work_s, counted)), tokens <= pace.slice_tokens, deadline, since)


class Admission:
    """Knows how fast work is done, and how long callers wait."""

    def __init__(self, pace: Pace, speed: Speed, patience: Patience) -> None:
        self._pace = pace
        self._speed = speed
        self._patience = patience
        self._small = Rate(SMALL_WINDOW_S)

    @property
    def stretch(self) -> float:
        """Seconds that a second of work takes with all streams on it."""
        return self._speed.ratio / self._pace.streams

    def large_stretch(self, now: float) -> float:
        """Return the same for large requests, which have what small ones leave."""
        return self.stretch / max(LEAST_SHARE, 1 - self.stretch * self._small.per_s(now))

    def note(self, ask: Ask, now: float) -> None:
        """Count an admitted request."""
        if ask.small:
            self._small.note(ask.work_s, now)

    def due_by(self, work_s: float, deadline: float, since: float | None, now: float) -> float:
        """Return when a request's caller stops waiting, as far as is known.

        What was learned is of requests that take less: one that takes longer by itself, with the batch that may be
        under way, may wait as long besides. Else callers who leave within a batch would have all others refused.
        """
        if since is None:
            return deadline
        tokens = self._pace.batch_tokens
        batch_s = self._speed.ratio * tokens / self._pace.cost.tokens_per_s(tokens)
        bound, own_s = self._patience.bound(now), batch_s + self.stretch * work_s
        return min(deadline, since + (bound if own_s < bound else own_s + bound))

    def rank(self, due_by: float, now: float) -> float:
        """Return the place of a request in the order of deadlines."""
        return min(due_by, now + PATIENT_S)

    def check(
        self, ask: Ask, start: float, large: Callable[[], Timetable[WaitsT]], now: float, tokenized_s: float = 0.0
    ) -> None:
        """Return if `ask` can be finished in time.

        `start` is when all small requests before it will have been computed, and `large` makes the order of the large
        ones that wait. Those that are being tokenized need `tokenized_s` of work besides, before a large one.

        Raises:
            OverloadedError: not now.
            DeadlineError: not even alone.
        """
        own_s = self.stretch * ask.work_s
        if now + own_s > ask.deadline:
            raise too_late()
        due_by = self.due_by(ask.work_s, ask.deadline, ask.since, now)
        limit = now + PLANNED * max(0.0, due_by - now)
        late_s = start + own_s - limit
        if not ask.small:
            late_s = large().lateness_s(tokenized_s + ask.work_s, limit, self.rank(due_by, now))
        if late_s > 0:
            raise _refusal(late_s, limit - now, learned=due_by < ask.deadline)


def retry_after_s(seconds: float) -> int:
    """Round up to what Retry-After may say."""
    return min(MAX_RETRY_AFTER_S, max(1, math.ceil(seconds)))


def too_late() -> DeadlineError:
    """Make the error of a request that is not finished in time."""
    return DeadlineError("the request was not computed in time (REQUEST_TIMEOUT_S); send fewer texts or try later")


def _refusal(late_s: float, left_s: float, *, learned: bool) -> OverloadedError:
    cause: Cause = "patience" if learned else "deadline"
    whose = "for which callers wait of late" if learned else "that the request's deadline leaves"
    return OverloadedError(
        f"the requests before this one take longer than the {left_s:.1f} s {whose}; try again later",
        retry_after_s(late_s),
        cause,
    )
