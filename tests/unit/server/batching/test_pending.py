import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from server.batching.job import Job, Text
from server.batching.pending import PendingTexts


@pytest.fixture
def text() -> Iterator[Callable[..., Text]]:
    loop = asyncio.new_event_loop()
    numbers = iter(range(10_000))

    def make(turn: float = 0.0, ids: tuple[int, ...] = (), job: Job | None = None, small: bool = True) -> Text:
        number = next(numbers)
        array = np.array(ids or (number,), np.int64)
        owner = job or Job(np.empty((1, 4), np.float32), 9.0, 0.0, 1, small, loop.create_future())
        made = Text(owner, 0, array, array.tobytes(), (turn, number), 0.5)
        owner.texts.append(made)
        return made

    yield make
    loop.close()


def test_texts_come_in_the_order_of_their_turns(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    texts = [text(turn) for turn in (3.0, 1.0, 2.0, 1.0)]
    for one in texts:
        waiting.add(one)
    assert list(waiting.in_turn()) == [texts[1], texts[3], texts[2], texts[0]]


def test_what_is_put_back_keeps_its_turn(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    first, second, third = (text(1.0) for _ in range(3))
    for one in (first, second, third):
        waiting.add(one)
    turns = waiting.in_turn()
    waiting.put_back([next(turns), next(turns)])
    assert list(waiting.in_turn()) == [first, second, third]


def test_claiming_a_text_takes_all_that_are_the_same_and_alive(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    one, same, gone, other = text(ids=(5, 6)), text(ids=(5, 6)), text(ids=(5, 6)), text()
    for each in (one, same, gone, other):
        waiting.add(each)
    gone.job.done.cancel()
    assert waiting.claim(one) == [one, same]
    assert (one.taken, same.taken, gone.taken, other.taken) == (True, True, False, False)
    assert waiting.claim(same) == []


def test_texts_of_ended_requests_do_not_pile_up(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    alive = text()
    waiting.add(alive)
    for _ in range(1000):
        dead = text()
        waiting.add(dead)
        dead.job.done.cancel()
        waiting.forget([dead])
    assert len(waiting) <= 3
    assert [one for one in waiting.in_turn() if not one.settled] == [alive]


def test_tokens_count_what_waits_whatever_became_of_the_rest(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    one, same, gone, other = text(ids=(5, 6)), text(ids=(5, 6)), text(ids=(7, 8, 9)), text(ids=(1,))
    for each in (one, same, gone, other):
        waiting.add(each)
    assert waiting.tokens == 8
    waiting.forget([gone])
    waiting.claim(one)
    waiting.forget([one])
    assert waiting.tokens == 1


def test_small_and_large_ones_come_by_their_turns(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    texts = [text(turn, small=small) for turn, small in ((1.0, False), (2.0, True), (3.0, False), (0.0, True))]
    for one in texts:
        waiting.add(one)
    assert list(waiting.in_turn()) == [texts[3], texts[0], texts[1], texts[2]]


def test_in_the_order_of_requests_small_ones_go_until_it_is_the_turn_of_large_ones(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    first, second = text(1.0, small=False), text(2.0, small=False)
    more = text(3.0, job=first.job)
    early, late = text(4.0), text(6.0)
    for one in (first, second, more, early, late):
        waiting.add(one)
    assert list(waiting.in_order([second.job, first.job], 5.0)) == [early, second, first, more, late]
    waiting.put_back([early, late])
    waiting.claim(second)
    assert list(waiting.in_order([second.job, first.job], 3.0)) == [first, more, early, late]


def test_turns_that_are_taken_up_again_begin_anew(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    first, second = text(1.0, small=False), text(2.0, small=False)
    more = text(1.5, job=first.job)
    for one in (first, second, more):
        waiting.add(one)
    waiting.claim(first)
    waiting.restart(10.0)
    assert [(one.due, one) for one in waiting.in_turn()] == [(10.0, second), (10.0, more)]


def test_work_counts_until_a_batch_has_it(text: Callable[..., Text]) -> None:
    waiting = PendingTexts()
    small, large = text(), text(small=False)
    more = text(job=large.job)
    for one in (small, large, more):
        waiting.add(one)
    assert (waiting.small_s, large.job.work_s, list(waiting.large)) == (0.5, 1.0, [large.job])
    waiting.claim(large)
    assert (large.job.work_s, large.job.begun, list(waiting.large)) == (0.5, True, [large.job])
    assert waiting.forget([large, more]) == 1
    waiting.claim(small)
    assert (waiting.small_s, large.job.work_s, list(waiting.large), waiting.tokens) == (0.0, 0.0, [], 0)
