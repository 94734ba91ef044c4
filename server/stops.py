"""Deadlines for callers that leave out the time in which this process did not run (SIGSTOP, a used-up CPU quota)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# A timer that is later than this was not late: the process did not run.
STOPPED_S = 1.0


def missed(meant: float, now: float) -> float:
    """Return for how many seconds the process has not run, seen at `now` by a timer that was meant for `meant`."""
    return now - meant if now - meant > STOPPED_S else 0.0


@asynccontextmanager
async def receiving(seconds: float) -> AsyncIterator[None]:
    """Give the caller `seconds` for what the block awaits; what came while the process did not run is read first.

    Raises:
        TimeoutError: it did not come in time.
    """
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def expire(meant: float) -> None:
        now = loop.time()
        if late := missed(meant, now):
            timers.append(loop.call_at(now + late, expire, now + late))
        else:
            limit.reschedule(now)

    due = loop.time() + seconds
    async with asyncio.timeout(None) as limit:
        timers.append(loop.call_at(due, expire, due))
        try:
            yield
        finally:
            timers[-1].cancel()
