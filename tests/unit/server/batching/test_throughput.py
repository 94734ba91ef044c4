import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.batching.throughput import MOST_STEP, Rate, Speed


@pytest.mark.parametrize("factor", [0.1, 0.5, 3.0, 10.0])
def test_a_lasting_change_is_learned_within_seconds_of_computing(factor: float) -> None:
    speed = Speed()
    for _ in range(50):
        speed.note(0.1, 0.1 * factor)
    assert speed.ratio == pytest.approx(factor, rel=0.05)


def test_a_single_stop_of_the_process_changes_little() -> None:
    speed = Speed()
    speed.note(0.1, 3.0)
    assert speed.ratio < 1.3


def test_short_batches_count_for_little() -> None:
    speed = Speed()
    for _ in range(20):
        speed.note(0.001, 0.005)
    assert speed.ratio < 1.1


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 100)), max_size=50))
def test_it_is_never_out_of_bounds(batches: list[tuple[float, float]]) -> None:
    speed = Speed()
    for expected, actual in batches:
        before = speed.ratio
        speed.note(expected, actual)
        assert before / MOST_STEP <= speed.ratio <= before * MOST_STEP


def test_a_rate_is_what_comes_in_a_second_and_fades() -> None:
    rate = Rate(2.0)
    for tick in range(100):
        rate.note(0.5, tick / 10)
    assert rate.per_s(9.9) == pytest.approx(5.0, rel=0.1)
    assert rate.per_s(20.0) < 0.05
