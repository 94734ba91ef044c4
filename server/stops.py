"""Deadlines for callers that leave out the time in which this process did not run (SIGSTOP, a used-up CPU quota)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# A timer that is later than this was not late: the process did not run.
STOPPED_S = 1.0


def missed(meant: float, now: float) -> float:
    """Return for how many seconds the process has not run, seen at `now` by a timer that was meant for `meant`."""
    return now - meant if now - meant > STOPPED_S else 0.0


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
