import asyncio
import time
from collections.abc import Sequence

from server.inference.engine import Tokens, Vectors
from tests.unit.server.batching.test_batcher import FAR, ids
from tests.unit.server.fakes import FakeEngine, batcher, first_ids
from tests.unit.until import until


async def under_way(engine: FakeEngine, count: int) -> list[list[list[int]]]:
    """Wait until the engine has received `count` batches."""
    await until(lambda: len(engine.batches) >= count)
    return sorted(engine.batches)


async def test_streams_share_a_request_and_what_waits() -> None:
    engine = FakeEngine()
    engine.gate.clear()
    queue = batcher(engine, batch_tokens=64, streams=2)
    first = asyncio.create_task(queue.embed(ids(*([number] * 8 for number in range(8))), FAR))
    assert [len(batch) for batch in await under_way(engine, 2)] == [4, 4]
    second = asyncio.create_task(queue.embed(ids([9, 9]), FAR))
    await until(lambda: queue.queued_requests == 2)
    assert len(engine.batches) == 2
    engine.gate.set()
    assert first_ids((await first).vectors) == list(range(8))
    assert first_ids((await second).vectors) == [9]
    assert await queue.close(5)


async def test_a_stream_that_ends_first_takes_what_waits_while_another_computes() -> None:
    class Slow(FakeEngine):
        def embed(self, sequences: Sequence[Tokens]) -> Vectors:
            if len(sequences[0]) > 2:
                return super().embed(sequences)
            return FakeEngine().embed(sequences)

    engine = Slow()
    queue = batcher(engine, streams=2)
    engine.gate.clear()
    slow = asyncio.create_task(queue.embed(ids([1] * 16), FAR))
    await asyncio.to_thread(engine.entered.wait, 10)
    for number in range(3):
        assert first_ids((await queue.embed(ids([number, 0]), FAR)).vectors) == [number]
    assert not slow.done()
    engine.gate.set()
    await slow


async def test_the_drain_rate_is_that_of_all_streams() -> None:
    one, two = (batcher(FakeEngine(), streams=streams) for streams in (1, 2))
    assert (one.queued_s, two.queued_s) == (0, 0)
    with one.admit([100], FAR), two.admit([100], FAR):
        assert two.queued_s == one.queued_s / 2


async def test_batches_that_run_side_by_side_count_once_in_the_time_of_their_request() -> None:
    engine = FakeEngine()
    engine.gate.clear()
    queue = batcher(engine, batch_tokens=64, streams=2)
    began = time.monotonic()
    request = asyncio.create_task(queue.embed(ids(*([number] * 8 for number in range(8))), FAR))
    await under_way(engine, 2)
    await asyncio.sleep(0.1)
    engine.gate.set()
    assert 0.1 <= (await request).inference_s <= time.monotonic() - began
