import threading
from collections.abc import Callable

import numpy as np

from server.batching.worker_threads import BatchRun, WorkerThreads
from server.inference.engine import Vectors
from tests.unit.server.fakes import unexpected
from tests.unit.until import until

ONE: Vectors = np.ones((1, 4), np.float32)


async def run_all(works: list[Callable[[], Vectors]]) -> tuple[list[BatchRun], list[BaseException]]:
    """Submit all, and wait until each is reported or the thread dies."""
    runs: list[BatchRun] = []
    deaths: list[BaseException] = []
    thread = WorkerThreads(1, deaths.append)
    for work in works:
        thread.submit(work, runs.append)
    await until(lambda: len(runs) == len(works) or deaths)
    thread.stop()
    return runs, deaths


def fail() -> Vectors:
    raise ValueError


def die() -> Vectors:
    raise SystemExit


async def test_results_come_in_order_with_their_times() -> None:
    runs, deaths = await run_all([lambda: ONE, lambda: 2 * ONE])
    assert [float(run.vectors[0, 0]) for run in runs if run.vectors is not None] == [1, 2]
    assert runs[0].began <= runs[0].ended <= runs[1].began
    assert not deaths


async def test_an_exception_belongs_to_its_call() -> None:
    runs, deaths = await run_all([fail, lambda: ONE])
    assert isinstance(runs[0].error, ValueError)
    assert runs[1].vectors is ONE
    assert not deaths


async def test_a_thread_that_dies_says_so() -> None:
    runs, deaths = await run_all([die, lambda: ONE])
    assert isinstance(deaths[0], SystemExit)
    assert len(runs) == 1
    assert isinstance(runs[0].error, SystemExit)


async def test_as_many_run_at_once_as_there_are_threads_and_all_end_when_told_to() -> None:
    meet, prepared = threading.Barrier(2), []

    def together() -> Vectors:
        meet.wait(10)
        return ONE

    runs: list[BatchRun] = []
    threads = WorkerThreads(2, unexpected, lambda: prepared.append(threading.current_thread()))
    for _ in range(4):
        threads.submit(together, runs.append)
    await until(lambda: len(runs) == 4)
    threads.stop()
    assert len(prepared) == 2
    for thread in prepared:
        thread.join(10)
        assert not thread.is_alive()
