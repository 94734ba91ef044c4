import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.migrate.job.reservoir import Reservoir


def filled(count: int, size: int) -> Reservoir[int]:
    made = Reservoir[int](size, seed=0)
    for number in range(count):
        made.add(number)
    return made


@given(st.integers(0, 300), st.integers(1, 100))
def test_a_sample_is_bounded_has_no_item_twice_and_is_always_the_same(count: int, size: int) -> None:
    drawn = filled(count, size)
    assert drawn.seen == count
    assert len(drawn.items) == min(count, size) == len(set(drawn.items))
    assert set(drawn.items) <= set(range(count))
    assert drawn.shuffled() == filled(count, size).shuffled()


def test_every_item_is_as_likely_to_be_drawn_as_another() -> None:
    assert 4500 < float(np.mean(filled(10_000, 1000).items)) < 5500


def test_shuffling_neither_loses_nor_adds_an_item() -> None:
    drawn = filled(1000, 50)
    before = sorted(drawn.items)
    assert sorted(drawn.shuffled()) == before
