"""Measures time in which the process was suspended (SIGSTOP, exhausted CPU quota), and extends timeouts by it."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# A timer that fires later than this means that the process was suspended.
SUSPENDED_S = 1.0
# How often suspensions are checked for, and how many are remembered.
_TICK_S = 0.25
_MOST = 1000


def suspended_s(meant: float, now: float) -> float:
    """Return how many seconds the process was suspended, if a timer scheduled for `meant` fires at `now`."""
    return now - meant if now - meant > SUSPENDED_S else 0.0


class Suspensions:
    """Records when the process was suspended, and for how long."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meant = math.inf
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MOST)

    async def watch(self) -> None:
        """Record suspensions until cancelled."""
        while True:
            self._meant = self._clock() + _TICK_S
            await asyncio.sleep(_TICK_S)
            now = self._clock()
            if late := suspended_s(self._meant, now):
                self._seen.append((now, late))

    def within(self, seconds: float) -> float:
        """Return how many of the last `seconds` the process was suspended, a suspension that just ended included."""
        now = self._clock()
        return suspended_s(self._meant, now) + sum(late for when, late in self._seen if when >= now - seconds)


class _Limit:
    """Times out a block at `due`, postponed by the time that the process was suspended."""

    def __init__(self, timeout: asyncio.Timeout, due: float) -> None:
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._arm(due)

    def lift(self) -> None:
        """Cancel the timer, and delete it, so that no reference cycle is left to the garbage collector."""
        self._timer.cancel()
        del self._timer

    def _arm(self, due: float) -> None:
        self._timer = self._loop.call_at(due, self._expire, due)

    def _expire(self, meant: float) -> None:
        now = self._loop.time()
        if late := suspended_s(meant, now):
            self._arm(now + late)
        else:
            self._timeout.reschedule(now)


@asynccontextmanager
async def receiving(seconds: float) -> AsyncIterator[None]:
    """Limit the block to `seconds`, not counting suspensions, so that data that arrived meanwhile is still read.

    Raises:
        TimeoutError: the block did not finish in time.
    """
    async with asyncio.timeout(None) as timeout:
        limit = _Limit(timeout, asyncio.get_running_loop().time() + seconds)
        try:
            yield
        finally:
            limit.lift()
