import asyncio

import numpy as np
import pytest

from server.errors import UnavailableError
from server.service.known_answer import EVERY_S, KnownAnswer
from tests.unit.server.fakes import FakeEngine, WholeBatcher, batcher

IDS = np.array([1, 5, 2], np.int64)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(engine: FakeEngine) -> tuple[WholeBatcher, KnownAnswer, Clock]:
    clock = Clock()
    made = batcher(engine, clock=clock)
    return made, KnownAnswer(made, IDS, engine.embed([IDS])[0], clock), clock


async def test_a_well_engine_is_asked_only_now_and_then() -> None:
    engine = FakeEngine()
    _, canary, clock = make(engine)
    for _ in range(3):
        await canary.check()
    assert len(engine.batches) == 1
    clock.now += EVERY_S
    await canary.check()
    assert len(engine.batches) == 2


async def test_while_the_engine_hangs_nobody_is_told_that_it_is_well() -> None:
    engine = FakeEngine()
    _, canary, clock = make(engine)
    engine.gate.clear()
    clock.now += EVERY_S
    asking = [asyncio.create_task(canary.check()) for _ in range(3)]
    await asyncio.to_thread(engine.entered.wait, 10)
    asking[0].cancel()
    done, _ = await asyncio.wait(asking, timeout=0.05)
    assert done == {asking[0]}
    engine.gate.set()
    await asyncio.gather(*asking[1:])
    assert len(engine.batches) == 2  # the one at the start, and one for all of them


async def test_another_vector_than_at_start_is_unready_until_it_is_right_again() -> None:
    engine = FakeEngine()
    _, canary, clock = make(engine)
    right = engine.embed
    engine.embed = lambda sequences: -right(sequences)  # type: ignore[method-assign]
    clock.now += EVERY_S
    with pytest.raises(UnavailableError, match="another vector"):
        await canary.check()
    assert not canary.healthy
    engine.embed = right  # type: ignore[method-assign]
    await canary.check()
    assert canary.healthy


async def test_three_failures_in_a_row_are_unready_at_once_and_recovery_shows() -> None:
    engine = FakeEngine()
    shared, canary, clock = make(engine)
    engine.error = RuntimeError()
    for _ in range(3):
        assert canary.healthy
        with pytest.raises(Exception, match="inference failed"):
            await shared.embed([IDS], clock() + 9)
    assert not canary.healthy
    with pytest.raises(UnavailableError, match="inference fails"):
        await canary.check()
    engine.error = None
    await canary.check()
    assert canary.healthy
