import pytest

from bench.spread import Spread, rate, seconds, speedup, spread


def test_a_spread_has_median_least_and_greatest() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([4.0]) == Spread(4.0, 4.0, 4.0)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_a_turn_counts_once_however_many_runs_it_had() -> None:
    turns = [[1.0, 1.0, 1.0, 9.0], [3.0], [2.0, 2.0]]
    assert seconds(turns) == Spread(2.0, 1.0, 3.0)


def test_a_rate_is_the_amount_over_each_turns_median() -> None:
    assert rate([[2.0, 4.0, 100.0], [1.0]], 8) == Spread(5.0, 2.0, 8.0)


def test_a_speedup_is_taken_round_by_round() -> None:
    # The machine was three times slower in the second round, for both contenders.
    assert speedup([[1.0], [3.0]], [[2.0], [6.0]]) == 2.0


def test_rounds_that_only_one_ran_do_not_count() -> None:
    assert speedup([[1.0], [1.0], [1.0]], [[4.0]]) == 4.0
    assert speedup([[1.0]], []) is None
