"""Wait for what another thread does."""

import asyncio
import time
from collections.abc import Callable

_LIMIT_S = 10.0


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as `condition` is true, which is asked every millisecond; fail after ten seconds."""
    deadline = time.monotonic() + _LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.001)
