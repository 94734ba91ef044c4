import asyncio
from typing import Any

import numpy as np
import pytest

from server.errors import DeadlineError, InferenceError, OverloadedError, UnavailableError
from server.inference.engine import Ids
from server.telemetry.metrics import Metrics
from tests.unit.server.fakes import FakeEngine, WholeBatcher, batcher, first_ids

FAR = 1e9


def ids(*rows: list[int]) -> list[Ids]:
    return [np.array(row, np.int64) for row in rows]


async def hold(engine: FakeEngine, queue: WholeBatcher) -> asyncio.Task[Any]:
    """Occupy the inference thread until the engine's gate opens."""
    engine.gate.clear()
    task = asyncio.create_task(queue.embed(ids([99, 99]), FAR))
    await asyncio.to_thread(engine.entered.wait, 10)
    return task


async def test_a_request_larger_than_a_batch_is_answered_in_order() -> None:
    engine = FakeEngine()
    sequences = [[number] * (1 + number % 16) for number in range(1, 41)]
    embedded = await batcher(engine).embed(ids(*sequences), FAR)
    assert first_ids(embedded.vectors) == list(range(1, 41))
    assert len(engine.batches) > 1


async def test_what_queues_up_meanwhile_shares_the_next_batch() -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    first = await hold(engine, queue)
    others = [asyncio.create_task(queue.embed(ids([number, 0]), FAR)) for number in range(5)]
    await asyncio.sleep(0)
    engine.gate.set()
    answers = await asyncio.gather(first, *others)
    assert [first_ids(answer.vectors) for answer in answers] == [[99], [0], [1], [2], [3], [4]]
    assert len(engine.batches) == 2


async def test_a_small_request_does_not_wait_for_a_huge_one() -> None:
    engine = FakeEngine()
    queue = batcher(engine, batch_tokens=16)
    first = await hold(engine, queue)
    huge = asyncio.create_task(queue.embed(ids(*([number] * 16 for number in range(10, 30))), FAR))
    await asyncio.sleep(0)
    small = asyncio.create_task(queue.embed(ids([3] * 4), FAR))
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(first, huge, small)
    assert [[3] * 4] in engine.batches[1:4]


async def test_a_failed_batch_fails_only_the_requests_in_it() -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    doomed = await hold(engine, queue)
    engine.error = RuntimeError("the user's text")
    later = asyncio.create_task(queue.embed(ids([1] * 16, [2] * 16, [3] * 16), FAR))
    await asyncio.sleep(0)
    engine.gate.set()
    with pytest.raises(InferenceError) as caught:
        await doomed
    assert "user" not in str(caught.value)
    with pytest.raises(InferenceError):
        await later
    assert queue.failures_in_a_row == 2
    engine.error = None
    assert first_ids((await queue.embed(ids([5]), FAR)).vectors) == [5]
    assert queue.failures_in_a_row == 0


async def test_a_full_queue_refuses_whole_requests_and_says_when_to_retry() -> None:
    engine = FakeEngine()
    queue = batcher(engine, queue_tokens=20)
    first = await hold(engine, queue)
    second = asyncio.create_task(queue.embed(ids([1] * 10), FAR))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError) as caught:
        await queue.embed(ids([1] * 5, [1] * 4), FAR)
    assert caught.value.headers == {"Retry-After": "2"}
    engine.gate.set()
    await asyncio.gather(first, second)
    assert len(engine.batches) == 2


async def test_an_idle_batcher_takes_a_request_larger_than_its_queue() -> None:
    embedded = await batcher(FakeEngine(), queue_tokens=1).embed(ids(*([number] * 16 for number in range(10))), FAR)
    assert embedded.vectors.shape == (10, 8)


async def test_a_passed_deadline_is_answered_before_anything_is_computed() -> None:
    engine = FakeEngine()
    with pytest.raises(DeadlineError):
        await batcher(engine).embed(ids([1]), deadline=0.0)
    assert engine.batches == []


async def test_a_deadline_holds_while_the_engine_hangs_and_frees_the_queue() -> None:
    engine = FakeEngine()
    queue = batcher(engine, queue_tokens=4)
    first = await hold(engine, queue)
    with pytest.raises(DeadlineError):
        await queue.embed(ids([1, 2]), deadline=0.001)
    await asyncio.sleep(0)
    queue.check_room(2)
    engine.gate.set()
    await first
    assert len(engine.batches) == 1


async def test_work_that_nobody_waits_for_is_not_computed() -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    first = await hold(engine, queue)
    gone = asyncio.create_task(queue.embed(ids([1], [2]), FAR))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    engine.gate.set()
    await first
    await queue.embed(ids([3]), FAR)
    assert engine.batches == [[[99, 99]], [[3]]]


async def test_closing_finishes_what_was_admitted_and_refuses_the_rest() -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    first = await hold(engine, queue)
    closing = asyncio.create_task(queue.close(10))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await queue.embed(ids([1]), FAR)
    engine.gate.set()
    await closing
    assert first_ids((await first).vectors) == [99]


async def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    first = await hold(engine, queue)
    await queue.close(0)
    assert "did not end" in caplog.text
    engine.gate.set()
    await first


async def test_identical_texts_that_wait_together_are_computed_once() -> None:
    engine, metrics = FakeEngine(), Metrics()
    queue = batcher(engine, metrics=metrics)
    first = await hold(engine, queue)
    asking = [asyncio.create_task(queue.embed(ids([7, 7], [number]), FAR)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    engine.gate.set()
    answers = await asyncio.gather(first, *asking)
    assert [first_ids(answer.vectors) for answer in answers] == [[99], [7, 1], [7, 2], [7, 3]]
    assert sum(batch.count([7, 7]) for batch in engine.batches) == 1
    assert metrics.registry.get_sample_value("embedding_shared_texts_total") == 2


async def test_one_of_two_identical_texts_may_be_given_up() -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    first = await hold(engine, queue)
    gone, stays = (asyncio.create_task(queue.embed(ids([7]), FAR)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    engine.gate.set()
    assert first_ids((await stays).vectors) == [7]
    await first


async def test_the_next_batch_is_handed_over_before_the_running_one_ends() -> None:
    engine = FakeEngine()
    queue = batcher(engine, batch_tokens=2)
    first = await hold(engine, queue)
    others = [asyncio.create_task(queue.embed(ids([number, 0]), FAR)) for number in range(3)]
    await asyncio.sleep(0.3)  # its two tokens should take 0.2 s
    late = asyncio.create_task(queue.probe(ids([5])[0], FAR))
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(first, *others, late)
    assert engine.batches == [[[99, 99]], [[0, 0]], [[5]], [[1, 0]], [[2, 0]]]


async def test_a_probe_is_computed_before_all_that_wait_and_even_when_the_queue_is_full() -> None:
    engine = FakeEngine()
    queue = batcher(engine, batch_tokens=2, queue_tokens=4)
    first = await hold(engine, queue)
    second = asyncio.create_task(queue.embed(ids([1, 2]), FAR))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        queue.check_room()
    probe = asyncio.create_task(queue.probe(ids([5])[0], FAR))
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(first, second, probe)
    assert engine.batches == [[[99, 99]], [[5]], [[1, 2]]]


async def test_the_queue_is_measured_in_requests_tokens_and_seconds() -> None:
    engine = FakeEngine()
    queue = batcher(engine)
    first = await hold(engine, queue)
    second = asyncio.create_task(queue.embed(ids([1] * 8), FAR))
    await asyncio.sleep(0)
    assert (queue.queued_requests, queue.queued_tokens, queue.queued_s) == (2, 10, 1.0)
    engine.gate.set()
    await asyncio.gather(first, second)
    await asyncio.sleep(0)
    assert (queue.queued_requests, queue.queued_tokens) == (0, 0)


async def test_a_batch_that_hangs_shows_how_long() -> None:
    ticks = iter(range(100))
    engine = FakeEngine()
    queue = batcher(engine, clock=lambda: float(next(ticks)))
    assert queue.running_s == 0
    first = await hold(engine, queue)
    assert queue.running_s > 0
    engine.gate.set()
    embedded = await first
    assert queue.running_s == 0
    assert embedded.inference_s > 0
    assert embedded.queue_s > 0
