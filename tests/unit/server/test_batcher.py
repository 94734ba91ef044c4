import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batcher import Batcher, Plan, plan
from server.errors import DeadlineError, InferenceError, OverloadedError, UnavailableError
from tests.unit.server.fakes import FakeEngine, first_ids

LONGEST = 64
FAR = 1e9


@dataclass(frozen=True, eq=False)
class Text:
    tokens: int
    order: float
    deadline: float = FAR
    cancelled: bool = False


TEXTS = st.lists(
    st.builds(
        Text,
        tokens=st.integers(1, LONGEST),
        order=st.floats(0, 10),
        deadline=st.sampled_from([0.0, FAR]),
        cancelled=st.booleans(),
    ),
    max_size=60,
)


@given(texts=TEXTS, budget=st.integers(LONGEST, 4 * LONGEST))
def test_plan_puts_every_text_in_exactly_one_list_and_keeps_the_budget(texts: list[Text], budget: int) -> None:
    planned = plan(texts, budget, now=1.0)
    everything = planned.batch + planned.expired + planned.cancelled + planned.waiting
    assert sorted(map(id, everything)) == sorted(map(id, texts))
    assert len(planned.batch) * max((text.tokens for text in planned.batch), default=0) <= budget
    assert all(text.cancelled for text in planned.cancelled)
    assert all(text.deadline <= 1.0 and not text.cancelled for text in planned.expired)
    assert not any(text.cancelled or text.deadline <= 1.0 for text in planned.batch + planned.waiting)


@given(texts=TEXTS, budget=st.integers(LONGEST, 4 * LONGEST))
def test_the_first_in_order_always_goes(texts: list[Text], budget: int) -> None:
    alive = [text for text in texts if not text.cancelled and text.deadline > 1.0]
    planned = plan(texts, budget, now=1.0)
    assert bool(planned.batch) == bool(alive)
    assert not alive or min(text.order for text in alive) == planned.batch[0].order


@given(old=st.integers(1, LONGEST), lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=30))
def test_no_text_starves_under_newer_arrivals(old: int, lengths: list[int]) -> None:
    pending = [Text(length, order=0.0) for length in lengths] + [last := Text(old, order=0.5)]
    for turn in range(len(pending)):
        planned = plan(pending, LONGEST, now=1.0)
        if last in planned.batch:
            return
        pending = planned.waiting + [Text(length, order=1.0 + turn) for length in lengths]
    pytest.fail("the older text never went")


def test_a_batch_holds_texts_of_like_length() -> None:
    short, long = [Text(10, order) for order in (0, 2, 4)], [Text(64, order) for order in (1, 3)]
    assert plan(short + long, 1024, 0.0) == Plan(batch=short, waiting=long)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 20))


def make(engine: FakeEngine, batch_tokens: int = 32, queue_tokens: int = 1000) -> Batcher:
    return Batcher(engine, batch_tokens, queue_tokens, tokens_per_s=10.0, clock=lambda: 0.0)


async def hold(engine: FakeEngine, batcher: Batcher) -> asyncio.Task[Any]:
    """Occupy the inference thread until the engine's gate opens."""
    engine.gate.clear()
    task = asyncio.create_task(batcher.embed([[99, 99]], FAR))
    await asyncio.to_thread(engine.entered.wait, 10)
    return task


def test_a_request_larger_than_a_batch_is_answered_in_order() -> None:
    async def main() -> None:
        engine = FakeEngine()
        sequences = [[number] * (1 + number % 16) for number in range(1, 41)]
        embedded = await make(engine).embed(sequences, FAR)
        assert first_ids(embedded.vectors) == list(range(1, 41))
        assert len(engine.batches) > 1

    run(main())


def test_what_queues_up_meanwhile_shares_the_next_batch() -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine)
        first = await hold(engine, batcher)
        others = [asyncio.create_task(batcher.embed([[number, 0]], FAR)) for number in range(5)]
        await asyncio.sleep(0)
        engine.gate.set()
        answers = await asyncio.gather(first, *others)
        assert [first_ids(answer.vectors) for answer in answers] == [[99], [0], [1], [2], [3], [4]]
        assert len(engine.batches) == 2

    run(main())


def test_a_small_request_does_not_wait_for_a_huge_one() -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine, batch_tokens=16)
        first = await hold(engine, batcher)
        huge = asyncio.create_task(batcher.embed([[7] * 16] * 20, FAR))
        await asyncio.sleep(0)
        small = asyncio.create_task(batcher.embed([[3] * 4], FAR))
        await asyncio.sleep(0)
        engine.gate.set()
        await asyncio.gather(first, huge, small)
        assert [[3] * 4] in engine.batches[1:4]

    run(main())


def test_a_failed_batch_fails_only_the_requests_in_it() -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine)
        doomed = await hold(engine, batcher)
        engine.error = RuntimeError("the user's text")
        later = asyncio.create_task(batcher.embed([[1] * 16] * 3, FAR))
        await asyncio.sleep(0)
        engine.gate.set()
        with pytest.raises(InferenceError) as caught:
            await doomed
        assert "user" not in str(caught.value)
        with pytest.raises(InferenceError):
            await later
        assert batcher.failures_in_a_row == 2
        engine.error = None
        assert first_ids((await batcher.embed([[5]], FAR)).vectors) == [5]
        assert batcher.failures_in_a_row == 0

    run(main())


def test_a_full_queue_refuses_whole_requests_and_says_when_to_retry() -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine, queue_tokens=20)
        first = await hold(engine, batcher)
        second = asyncio.create_task(batcher.embed([[1] * 10], FAR))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError) as caught:
            await batcher.embed([[1] * 5, [1] * 4], FAR)
        assert caught.value.headers == {"Retry-After": "2"}
        engine.gate.set()
        await asyncio.gather(first, second)
        assert len(engine.batches) == 2

    run(main())


def test_an_idle_batcher_takes_a_request_larger_than_its_queue() -> None:
    async def main() -> None:
        embedded = await make(FakeEngine(), queue_tokens=1).embed([[1] * 16] * 10, FAR)
        assert embedded.vectors.shape == (10, 8)

    run(main())


def test_a_passed_deadline_is_answered_before_anything_is_computed() -> None:
    async def main() -> None:
        engine = FakeEngine()
        with pytest.raises(DeadlineError):
            await make(engine).embed([[1]], deadline=0.0)
        assert engine.batches == []

    run(main())


def test_a_deadline_holds_while_the_engine_hangs_and_frees_the_queue() -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine, queue_tokens=4)
        first = await hold(engine, batcher)
        with pytest.raises(DeadlineError):
            await batcher.embed([[1, 2]], deadline=0.001)
        await asyncio.sleep(0)
        batcher.check_room(2)
        engine.gate.set()
        await first
        assert len(engine.batches) == 1

    run(main())


def test_work_that_nobody_waits_for_is_not_computed() -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine)
        first = await hold(engine, batcher)
        gone = asyncio.create_task(batcher.embed([[1], [2]], FAR))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        engine.gate.set()
        await first
        await batcher.embed([[3]], FAR)
        assert engine.batches == [[[99, 99]], [[3]]]

    run(main())


def test_closing_finishes_what_was_admitted_and_refuses_the_rest() -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine)
        first = await hold(engine, batcher)
        closing = asyncio.create_task(batcher.close(10))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await batcher.embed([[1]], FAR)
        engine.gate.set()
        await closing
        assert first_ids((await first).vectors) == [99]

    run(main())


def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        engine = FakeEngine()
        batcher = make(engine)
        first = await hold(engine, batcher)
        await batcher.close(0)
        assert "did not end" in caplog.text
        engine.gate.set()
        await first

    run(main())


def test_queue_and_inference_seconds_add_up_to_the_wait() -> None:
    async def main() -> None:
        ticks = iter(range(100))
        batcher = Batcher(FakeEngine(), 32, 1000, 10.0, clock=lambda: float(next(ticks)))
        embedded = await batcher.embed([[1]], FAR)
        assert embedded.inference_s > 0
        assert embedded.queue_s > 0

    run(main())
