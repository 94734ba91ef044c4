"""Which of the waiting requests can still be finished in time, and in which order. Pure.

Earliest deadline first finishes all in time wherever any order does (Liu, Layland: J. ACM 20, 1973); where none does,
Moore's algorithm (Management Science 15, 1968) leaves out the fewest.
"""

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from typing import Generic, Protocol, TypeVar


class Waits(Protocol):
    """What is to be known of a request; times in seconds on one clock."""

    @property
    def work_s(self) -> float:
        """What of it is still to be computed, in seconds of the measured cost."""
        ...

    @property
    def due_by(self) -> float:
        """When its caller stops waiting, as far as is known."""
        ...

    @property
    def rank(self) -> float:
        """By when it goes before others: `due_by`, unless that is so far off that it would wait for ever."""
        ...

    @property
    def begun(self) -> bool:
        """Whether part of it has been computed."""
        ...


WaitsT = TypeVar("WaitsT", bound=Waits)


class Timetable(Generic[WaitsT]):
    """The order in which requests are finished from `start` on, at `stretch` seconds for one of work.

    `in_time` are those that can be, `late` the others, those that have been begun first. `pressure` is the time that
    all take over the time until the first deadline: up to 1 all are finished in time in whatever order.
    """

    def __init__(self, requests: Iterable[WaitsT], start: float, stretch: float) -> None:
        """Plan for some thousands of requests in a few milliseconds."""
        self._stretch = stretch
        ranked = sorted(requests, key=lambda request: request.rank)
        work_s = stretch * sum(request.work_s for request in ranked)
        time_s = min((request.due_by for request in ranked), default=math.inf) - start
        self.pressure = work_s / time_s if time_s > 0 else math.inf
        self._more: list[WaitsT] = []
        self._more_s = 0.0
        self.in_time, self.late = (ranked, []) if self.pressure <= 1 else _divide(ranked, start, stretch)
        self._ranks = [request.rank for request in self.in_time]
        self._ends = list(accumulate((stretch * request.work_s for request in self.in_time), initial=start))
        spare = [request.due_by - end for request, end in zip(self.in_time, self._ends[1:], strict=True)]
        # How much later each may end so that neither it nor one after it is late; nothing is after the last.
        self._spare = [*accumulate(reversed(spare), min, initial=math.inf)][::-1]

    def add(self, request: WaitsT) -> None:
        """Put one more at the end, which is cheaper than a new timetable, and good until the next is made."""
        self._more.append(request)
        self._more_s += self._stretch * request.work_s

    def __iter__(self) -> Iterator[WaitsT]:
        """Yield all in their order."""
        return chain(self.in_time, self._more, self.late)

    def lateness_s(self, work_s: float, due_by: float, rank: float) -> float:
        """Return how late one more request would be, or make another that otherwise is not; not above 0 if it fits."""
        place = bisect_right(self._ranks, rank)
        own_s = self._stretch * work_s + self._more_s
        return max(self._ends[place] + own_s - due_by, own_s - self._spare[place])


def _divide(ranked: list[WaitsT], start: float, stretch: float) -> tuple[list[WaitsT], list[WaitsT]]:
    """Leave out what needs most to be finished, hence seldom what has been begun; the latest among equals."""
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
