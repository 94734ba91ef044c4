"""Inference threads, one per stream, which report their results to the event loop."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeVar

from server.errors import DeviceLostError
from server.inference.engine import Vectors

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchRun:
    """The outcome of one call: vectors or an error, and its start and end on time.monotonic()."""

    vectors: Vectors | None
    error: BaseException | None
    began: float
    ended: float


Work = Callable[[], Vectors]
Done = Callable[[BatchRun], None]


class WorkerThreads:
    """Run calls in the order of submission, on daemon threads, so that a hung call cannot block process exit.

    Every error is passed to the call's `done`. A lost GPU, or an error that is not an Exception (SystemExit), also ends
    the thread, and `on_death` is called on the event loop; else the process would accept work that no thread computes.
    """

    def __init__(
        self, count: int, on_death: Callable[[BaseException], None], prepare: Callable[[], None] | None = None
    ) -> None:
        """Create `count` threads, each of which calls `prepare` first; `on_death` receives the error that ended one."""
        self._on_death = on_death
        self._prepare = prepare
        self._calls: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"inference-{number}", daemon=True) for number in range(count)
        ]

    def submit(self, work: Work, done: Done) -> None:
        """Queue `work` for the threads; `done` is called on this event loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            for thread in self._threads:
                thread.start()
        self._calls.put((work, done))

    def stop(self) -> None:
        """End the threads after all submitted calls; does not wait for them."""
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        if self._prepare:
            self._prepare()
        while (call := self._calls.get()) is not None:
            work, done = call
            run = _run(work)
            self._report(done, run)
            if run.error is not None and _is_final(run.error):
                self._report(self._on_death, run.error)
                return

    def _report(self, tell: Callable[[T], None], what: T) -> None:
        assert self._loop is not None  # noqa: S101 - set before the thread starts
        try:
            self._loop.call_soon_threadsafe(tell, what)
        except RuntimeError:
            logger.warning("a batch ended after the server did")


def _is_final(error: BaseException) -> bool:
    return not isinstance(error, Exception) or isinstance(error, DeviceLostError)


def _run(work: Work) -> BatchRun:
    began = time.monotonic()
    try:
        return BatchRun(work(), None, began, time.monotonic())
    except BaseException as error:  # noqa: BLE001 - the caller must get an answer in any case
        return BatchRun(None, error, began, time.monotonic())
