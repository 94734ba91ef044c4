"""An event loop on a fake clock, for code without threads: waiting for a timer takes no time."""

import asyncio
import selectors

# How long to wait for a socket before the clock moves on: local sockets deliver at once.
_PATIENCE_S = 0.003


class _Selector(selectors.DefaultSelector):
    """Moves the clock to the next timer if no socket is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(None if timeout is None else min(timeout, _PATIENCE_S))
        if timeout and not ready:
            self.now += timeout
        return ready


class FakeClockLoop(asyncio.SelectorEventLoop):
    """`time()` stands still while code runs, and jumps to the next timer when nothing is left to do."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def suspend(self, seconds: float) -> None:
        """Advance the clock without running timers, as if the process had been stopped."""
        self._clock.now += seconds


# What an `anyio_backend` fixture returns for tests on this loop.
BACKEND: tuple[str, dict[str, object]] = ("asyncio", {"loop_factory": FakeClockLoop})
