import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from server.job import Job, Text
from server.waiting import WaitingTexts


@pytest.fixture
def text() -> Iterator[Callable[..., Text]]:
    loop = asyncio.new_event_loop()
    numbers = iter(range(10_000))

    def make(turn: float = 0.0, ids: tuple[int, ...] = (), job: Job | None = None) -> Text:
        number = next(numbers)
        array = np.array(ids or (number,), np.int64)
        owner = job or Job(np.empty((1, 4), np.float32), 9.0, 0.0, 1, True, loop.create_future())
        return Text(owner, 0, array, array.tobytes(), (turn, number))

    yield make
    loop.close()


def test_texts_come_in_the_order_of_their_turns(text: Callable[..., Text]) -> None:
    waiting = WaitingTexts()
    texts = [text(turn) for turn in (3.0, 1.0, 2.0, 1.0)]
    for one in texts:
        waiting.add(one)
    assert list(waiting.in_turn()) == [texts[1], texts[3], texts[2], texts[0]]


def test_what_is_put_back_keeps_its_turn(text: Callable[..., Text]) -> None:
    waiting = WaitingTexts()
    first, second, third = (text(1.0) for _ in range(3))
    for one in (first, second, third):
        waiting.add(one)
    turns = waiting.in_turn()
    waiting.put_back([next(turns), next(turns)])
    assert list(waiting.in_turn()) == [first, second, third]


def test_claiming_a_text_takes_all_that_are_the_same_and_alive(text: Callable[..., Text]) -> None:
    waiting = WaitingTexts()
    one, same, gone, other = text(ids=(5, 6)), text(ids=(5, 6)), text(ids=(5, 6)), text()
    for each in (one, same, gone, other):
        waiting.add(each)
    gone.job.done.cancel()
    assert waiting.claim(one) == [one, same]
    assert (one.taken, same.taken, gone.taken, other.taken) == (True, True, False, False)
    assert waiting.claim(same) == []


def test_texts_of_ended_requests_do_not_pile_up(text: Callable[..., Text]) -> None:
    waiting = WaitingTexts()
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
    waiting = WaitingTexts()
    one, same, gone, other = text(ids=(5, 6)), text(ids=(5, 6)), text(ids=(7, 8, 9)), text(ids=(1,))
    for each in (one, same, gone, other):
        waiting.add(each)
    assert waiting.tokens == 8
    waiting.forget([gone])
    waiting.claim(one)
    waiting.forget([one])
    assert waiting.tokens == 1
