"""The batcher under overload: which requests it refuses, and which texts it drops before computing them."""

import asyncio
from itertools import count

import pytest

from server.errors import DeadlineError, OverloadedError
from server.telemetry.metrics import Metrics
from tests.unit.server.batching.test_batcher import FAR, hold, ids
from tests.unit.server.fakes import FakeEngine, batcher, first_ids


async def test_what_cannot_be_finished_behind_others_is_refused_at_once_and_says_when_to_retry() -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    first = await hold(engine, queue)
    # Each takes 3.2 s, and slightly more beside small requests: all end before 11 s.
    others = [asyncio.create_task(queue.embed(ids([1] * 16, [2] * 16), deadline=14.0)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="deadline") as caught:
        await queue.embed(ids([3] * 16, [4] * 16), deadline=5.0)  # would go first and make the last one late
    assert caught.value.cause == "deadline"
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 10
    with pytest.raises(DeadlineError):
        await queue.embed(ids([3] * 16, [4] * 16), deadline=3.0)
    short = asyncio.create_task(queue.embed(ids([5]), deadline=1.0))
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(first, short, *others)


async def test_work_that_is_still_being_tokenized_counts_for_those_who_come_after() -> None:
    queue = batcher(FakeEngine())
    with queue.admit([16, 16], 14.0), queue.admit([16, 16], 14.0):
        with pytest.raises(OverloadedError, match="deadline"):
            await queue.embed(ids([3] * 16, [4] * 16), deadline=5.0)
        with pytest.raises(OverloadedError, match="deadline"), queue.admit([16, 16], 5.0):
            pass
    assert first_ids((await queue.embed(ids([3] * 16, [4] * 16), deadline=5.0)).vectors) == [3, 4]


async def test_what_was_admitted_is_not_refused_for_what_came_after() -> None:
    queue = batcher(FakeEngine())
    with queue.admit([16, 16], 5.0) as first, queue.admit([16, 16], 14.0):
        assert first_ids((await queue.compute(ids([3] * 16, [4] * 16), first)).vectors) == [3, 4]


async def test_a_request_longer_than_its_estimate_is_refused_where_there_is_no_room_for_the_rest() -> None:
    queue = batcher(FakeEngine(), queue_tokens=19)
    with queue.admit([8, 3], FAR), queue.admit([2], FAR) as second:
        with pytest.raises(OverloadedError, match="queue is full"):
            await queue.compute(ids([1] * 16), second)
        assert queue.queued_tokens == 10
    assert queue.queued_tokens == 0


async def test_an_idle_batcher_takes_what_it_does_not_expect_to_finish() -> None:
    embedded = await batcher(FakeEngine()).embed(ids([1] * 16, [2] * 16), deadline=0.5)
    assert first_ids(embedded.vectors) == [1, 2]


async def test_callers_who_do_not_say_how_long_they_wait_are_taken_for_those_who_hung_up() -> None:
    engine, ticks = FakeEngine(), count()
    queue = batcher(engine, clock=lambda: next(ticks) / 1000)
    first = await hold(engine, queue)
    for _ in range(200):
        queue.note_patience(2.0, left=True)
    assert queue.patience_s <= 2.0
    # More than fits into the patience, beside the batch in flight.
    other = asyncio.create_task(queue.embed(ids(*([number] * 16 for number in range(10, 20))), FAR))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="callers wait") as caught:
        await queue.embed(ids([3] * 16, [4]), FAR, since=0.0)
    assert caught.value.cause == "patience"
    patient = asyncio.create_task(queue.embed(ids([3] * 16, [4]), FAR))
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(first, other, patient)


async def test_a_prepared_batch_whose_callers_have_all_left_is_not_computed() -> None:
    engine, metrics = FakeEngine(), Metrics()
    queue = batcher(engine, batch_tokens=2, metrics=metrics)
    first = await hold(engine, queue)
    gone = asyncio.create_task(queue.embed(ids([1, 0], [2, 0]), FAR))
    await asyncio.sleep(0.3)  # the first one's two tokens should take 0.2 s
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    engine.gate.set()
    await first
    assert first_ids((await queue.embed(ids([3]), FAR)).vectors) == [3]
    assert engine.batches == [[[99, 99]], [[3]]]
    assert queue.failures_in_a_row == 0
    assert metrics.registry.get_sample_value("embedding_dropped_texts_total") == 1
