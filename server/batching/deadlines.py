"""Deadline scheduling: which queued requests can still be finished in time, and in which order. Pure.

Earliest deadline first finishes all in time if any order does (Liu, Layland: J. ACM 20, 1973); otherwise Moore's
algorithm (Management Science 15, 1968) minimizes the number of late ones.
"""

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from typing import Generic, Protocol, TypeVar


class QueuedRequest(Protocol):
    """The attributes of a queued request that scheduling needs; times in seconds on one clock."""

    @property
    def work_s(self) -> float:
        """Work still to be computed, in seconds by the measured cost."""
        ...

    @property
    def due_by(self) -> float:
        """When its caller is expected to stop waiting."""
        ...

    @property
    def rank(self) -> float:
        """Sort key: `due_by`, or earlier if that is so far off that the request would starve."""
        ...

    @property
    def begun(self) -> bool:
        """Whether part of it has been computed."""
        ...


QueuedT = TypeVar("QueuedT", bound=QueuedRequest)


class Timetable(Generic[QueuedT]):
    """The order in which to finish requests from `start` on, at `stretch` seconds per second of work.

    `in_time` holds the requests that can meet their deadlines, `late` the others, already begun ones first. `pressure`
    is the time needed for all, divided by the time until the first deadline: up to 1, any order meets all deadlines.
    """

    def __init__(self, requests: Iterable[QueuedT], start: float, stretch: float) -> None:
        """Build the timetable; a few milliseconds for thousands of requests."""
        self._stretch = stretch
        ranked = sorted(requests, key=lambda request: request.rank)
        work_s = stretch * sum(request.work_s for request in ranked)
        time_s = min((request.due_by for request in ranked), default=math.inf) - start
        self.pressure = work_s / time_s if time_s > 0 else math.inf
        self._more: list[QueuedT] = []
        self._more_s = 0.0
        self.in_time, self.late = (ranked, []) if self.pressure <= 1 else _divide(ranked, start, stretch)
        self._ranks = [request.rank for request in self.in_time]
        self._ends = list(accumulate((stretch * request.work_s for request in self.in_time), initial=start))
        spare = [request.due_by - end for request, end in zip(self.in_time, self._ends[1:], strict=True)]
        # How much each can be delayed without making it or a later one miss its deadline.
        self._spare = [*accumulate(reversed(spare), min, initial=math.inf)][::-1]

    def add(self, request: QueuedT) -> None:
        """Append a request: an approximation until the next timetable is built, which costs more."""
        self._more.append(request)
        self._more_s += self._stretch * request.work_s

    def __iter__(self) -> Iterator[QueuedT]:
        """Yield all requests in order."""
        return chain(self.in_time, self._more, self.late)

    def lateness_s(self, work_s: float, due_by: float, rank: float) -> float:
        """Return by how much one more request would be late, or would make another late; not above 0 if it fits."""
        place = bisect_right(self._ranks, rank)
        own_s = self._stretch * work_s + self._more_s
        return max(self._ends[place] + own_s - due_by, own_s - self._spare[place])


def _divide(ranked: list[QueuedT], start: float, stretch: float) -> tuple[list[QueuedT], list[QueuedT]]:
    """Split into in-time and late requests by Moore's algorithm.

    It drops the requests with the most remaining work, hence rarely begun ones; among equals, the last.
    """
    left_out: set[int] = set()
    kept: list[tuple[float, bool, int]] = []
    end = start
    for place, request in enumerate(ranked):
        heapq.heappush(kept, (-request.work_s, request.begun, -place))
        end += stretch * request.work_s
        while kept and end > request.due_by:
            worst = -heapq.heappop(kept)[2]
            end -= stretch * ranked[worst].work_s
            left_out.add(worst)
    in_time = [request for place, request in enumerate(ranked) if place not in left_out]
    late = sorted((ranked[place] for place in left_out), key=lambda request: (not request.begun, request.rank))
    return in_time, late
