import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batching.caller_patience import FLOOR_S, FRESH_S, HALF_LIFE_S, MOST_S, STEP, Patience


def bound(patience: Patience, now: float) -> float:
    return patience.bound(now + FRESH_S)


def test_nothing_is_known_before_several_have_left() -> None:
    patience = Patience()
    assert patience.bound(0) == math.inf
    for _ in range(4):
        patience.note(1.5, 1.0, left=True)
    assert bound(patience, 1.0) == math.inf
    for _ in range(4):
        patience.note(1.5, 2.0, left=True)
    assert 1.5 / STEP <= bound(patience, 2.0) <= 1.5


def test_who_was_answered_earlier_tells_nothing_of_later_ages() -> None:
    patience = Patience()
    for _ in range(1000):
        patience.note(0.5, 1.0, left=False)
    for _ in range(300):
        patience.note(2.0, 1.0, left=True)
    assert 2.0 / STEP <= bound(patience, 1.0) <= 2.0


def test_a_few_who_leave_among_many_who_wait_teach_nothing() -> None:
    patience = Patience()
    for number in range(1000):
        patience.note(3.0, 1.0, left=False)
        if number % 10 == 0:
            patience.note(1.0, 1.0, left=True)
    assert bound(patience, 1.0) == math.inf


def test_who_leaves_at_once_counts_for_nothing() -> None:
    patience = Patience()
    for _ in range(10_000):
        patience.note(FLOOR_S / 2, 1.0, left=True)
    assert bound(patience, 1.0) == math.inf


@pytest.mark.parametrize("count", [20, 5_000])
def test_it_is_forgotten_in_minutes_however_many_left(count: int) -> None:
    patience = Patience()
    for _ in range(count):
        patience.note(1.0, 1.0, left=True)
    assert bound(patience, 1.0) <= 1.0
    for tick in range(int(12 * HALF_LIFE_S)):
        patience.note(2.0, 1.0 + tick, left=False)
    assert bound(patience, 1.0 + 12 * HALF_LIFE_S) == math.inf


@pytest.mark.parametrize("count", [20, 100_000])
def test_it_is_forgotten_where_nothing_more_is_observed(count: int) -> None:
    """As when all callers without a timeout are refused because of earlier observations."""
    patience = Patience()
    for _ in range(count):
        patience.note(0.3, 1.0, left=True)
    assert bound(patience, 1.0) <= 0.3
    assert bound(patience, 1.0 + 5 * HALF_LIFE_S) == math.inf


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.booleans()), max_size=100))
def test_whatever_comes_the_bound_stays_within_its_limits(notes: list[tuple[float, float, bool]]) -> None:
    patience = Patience()
    for age_s, now, left in notes:
        patience.note(age_s, now, left=left)
        estimate = patience.bound(now)
        assert estimate == math.inf or FLOOR_S <= estimate <= MOST_S
