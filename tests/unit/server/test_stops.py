import asyncio
import time

import pytest

from server import stops
from server.stops import receiving


def test_a_timer_that_is_much_too_late_tells_how_long_the_process_did_not_run() -> None:
    assert stops.missed(10, 10.5) == 0
    assert stops.missed(10, 13) == 3


def test_what_does_not_come_in_time_is_a_timeout_and_what_comes_is_not() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with receiving(0.01):
                await asyncio.Event().wait()
        async with receiving(10):
            await asyncio.sleep(0)

    asyncio.run(main())


def test_what_came_while_the_process_did_not_run_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stops, "STOPPED_S", 0.05)

    async def main() -> None:
        sender, receiver = asyncio.Event(), asyncio.get_running_loop()
        async with receiving(0.01):
            receiver.call_later(0.02, sender.set)
            time.sleep(0.2)
            await sender.wait()

    asyncio.run(main())
