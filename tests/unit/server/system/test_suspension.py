import asyncio

import pytest

from server.system import suspension
from server.system.suspension import Suspensions, receiving
from tests.unit.fake_clock import BACKEND, FakeClockLoop


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run the tests of this file on a fake clock."""
    return BACKEND


def test_a_timer_that_is_much_too_late_tells_how_long_the_process_did_not_run() -> None:
    assert suspension.suspended_s(10, 10.5) == 0
    assert suspension.suspended_s(10, 13) == 3


async def test_what_does_not_come_in_time_is_a_timeout_and_what_comes_is_not() -> None:
    with pytest.raises(TimeoutError):
        async with receiving(0.01):
            await asyncio.Event().wait()
    async with receiving(10):
        await asyncio.sleep(0)


async def test_what_came_while_the_process_did_not_run_is_taken() -> None:
    sent, loop = asyncio.Event(), asyncio.get_running_loop()
    assert isinstance(loop, FakeClockLoop)
    async with receiving(1.0):
        loop.call_later(2.0, sent.set)
        loop.suspend(20.0)
        await sent.wait()


async def test_stops_are_known_as_soon_as_they_end_and_remembered_while_they_matter() -> None:
    now = [100.0]
    seen = Suspensions(lambda: now[0])
    watching = asyncio.create_task(seen.watch())
    await asyncio.sleep(0)
    now[0] += 3.25
    assert seen.within(4) == 3
    await asyncio.sleep(0.4)
    now[0] += 0.25
    assert seen.within(4) == 3
    now[0] += 0.25
    watching.cancel()
    assert seen.within(0.1) == 0


def test_before_anyone_looks_for_stops_there_are_none() -> None:
    assert Suspensions().within(1000) == 0
