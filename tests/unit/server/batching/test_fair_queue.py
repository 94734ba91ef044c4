from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batching.fair_queue import FairQueue

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=50)


@given(lengths=LENGTHS, served=st.lists(st.tuples(st.integers(1, 4096), st.integers(0, 9)), max_size=20))
def test_each_text_is_due_after_those_before_it(lengths: list[int], served: list[tuple[int, int]]) -> None:
    turns = FairQueue()
    for tokens, requests in served:
        turns.serve(tokens, requests)
    due = list(turns.admit(lengths))
    assert due[0] == turns.now
    assert [later - earlier for earlier, later in pairwise(due)] == pytest.approx(lengths[:-1])


def test_a_request_alone_is_due_as_it_is_served() -> None:
    turns = FairQueue()
    due = list(turns.admit([100] * 4))
    for text in due:
        assert turns.now == text
        turns.serve(100, 1)


def simulate(turns: FairQueue, large: int, small_every: int) -> list[str]:
    """Serve texts one at a time, earliest virtual time first; a small request arrives every `small_every` turns."""
    waiting = [(due, number, "large") for number in range(large) for due in turns.admit([100] * 20)]
    order = []
    for turn in range(40):
        if turn % small_every == 0:
            waiting.append((next(turns.admit([10])), 100 + turn, "small"))
        waiting.sort()
        _, number, kind = waiting.pop(0)
        alive = {entry[1] for entry in waiting} | {number}
        turns.serve(100 if kind == "large" else 10, len(alive))
        order.append(f"{kind}{number}")
    return order


def test_a_small_request_waits_for_one_text_of_each_large_one_at_most() -> None:
    order = simulate(FairQueue(), large=3, small_every=5)
    for turn in range(5, 40, 5):
        assert f"small{100 + turn}" in order[turn : turn + 4]


def test_large_requests_advance_side_by_side_and_not_even_a_flood_of_small_ones_stops_them() -> None:
    order = simulate(FairQueue(), large=2, small_every=1)
    first, second = order.count("large0"), order.count("large1")
    assert min(first, second) >= 2
    assert abs(first - second) <= 1


def test_a_small_request_is_due_as_a_whole() -> None:
    turns = FairQueue()
    turns.serve(100, 1)
    assert list(turns.admit([10, 20, 30], whole=True)) == [100.0] * 3


def test_large_ones_with_one_turn_get_among_small_ones_what_each_would_get() -> None:
    turns = FairQueue()
    turns.serve(100, 1)
    turns.join_large()
    turns.serve_large(400, 4)
    assert turns.large == 200.0
