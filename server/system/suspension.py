"""The time in which this process did not run (SIGSTOP, a used-up CPU quota): it makes no caller late, no batch hang."""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# A timer that is later than this was not late: the process did not run.
STOPPED_S = 1.0
# How often stops are looked for, and how many are remembered.
_TICK_S = 0.25
_MOST = 1000


def missed(meant: float, now: float) -> float:
    """Return for how many seconds the process has not run, seen at `now` by a timer that was meant for `meant`."""
    return now - meant if now - meant > STOPPED_S else 0.0


class Stops:
    """Remembers for how long the process did not run, and when it went on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meant = math.inf
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MOST)

    async def watch(self) -> None:
        """Notice stops until cancelled."""
        while True:
            self._meant = self._clock() + _TICK_S
            await asyncio.sleep(_TICK_S)
            now = self._clock()
            if late := missed(self._meant, now):
                self._seen.append((now, late))

    def within(self, seconds: float) -> float:
        """Return for how many of the last `seconds` the process did not run; a stop that has just ended is counted."""
        now = self._clock()
        return missed(self._meant, now) + sum(late for when, late in self._seen if when >= now - seconds)


class _Limit:
    """Ends a block that goes on at `due`, or later by as long as the process did not run."""

    def __init__(self, timeout: asyncio.Timeout, due: float) -> None:
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._arm(due)

    def lift(self) -> None:
        """Let the block go on; without its timer, nothing here is left to the garbage collector."""
        self._timer.cancel()
        del self._timer

    def _arm(self, due: float) -> None:
        self._timer = self._loop.call_at(due, self._expire, due)

    def _expire(self, meant: float) -> None:
        now = self._loop.time()
        if late := missed(meant, now):
            self._arm(now + late)
        else:
            self._timeout.reschedule(now)


@asynccontextmanager
async def receiving(seconds: float) -> AsyncIterator[None]:
    """Give the caller `seconds` for what the block awaits; what came while the process did not run is read first.

    Raises:
        TimeoutError: it did not come in time.
    """
    async with asyncio.timeout(None) as timeout:
        limit = _Limit(timeout, asyncio.get_running_loop().time() + seconds)
        try:
            yield
        finally:
            limit.lift()
