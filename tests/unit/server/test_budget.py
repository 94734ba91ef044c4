from hypothesis import given
from hypothesis import strategies as st

from server.budget import Budget


@given(limit=st.integers(1, 1000), amount=st.integers(1, 10_000))
def test_an_idle_allowance_takes_anything_once_and_a_second_huge_one_at_most(limit: int, amount: int) -> None:
    allowance = Budget(limit)
    assert allowance.has_room(amount)
    share = allowance.take(amount)
    assert 1 <= allowance.held <= limit
    allowance.release(share)
    assert allowance.held == 0


def test_a_huge_request_leaves_room_for_small_ones() -> None:
    allowance = Budget(100)
    allowance.take(10_000)
    assert allowance.has_room(50)
    allowance.take(40)
    assert not allowance.has_room(11)


def test_a_full_allowance_takes_nothing() -> None:
    allowance = Budget(1)
    allowance.take(5)
    assert not allowance.has_room(1)
