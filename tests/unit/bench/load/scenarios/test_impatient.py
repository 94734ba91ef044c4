from dataclasses import replace

from bench.load.figures import Outcome
from bench.load.scenarios.impatient import Trial, judge
from tests.unit.bench.load.made import figures, latency


def trial(times: float, texts_per_s: float, *, announced: bool = True, outcomes: tuple[str, ...] = ()) -> Trial:
    made = figures(texts_per_s, refused={status: Outcome(100, 100, latency(0.01)) for status in outcomes})
    return Trial(times, 1.5, announced, 10 * times, 4000.0, made)


def test_each_sort_of_callers_is_set_against_itself_at_capacity() -> None:
    trials = [trial(1, 100), trial(2, 95, outcomes=("429", "504"))]
    trials += [trial(1, 80, announced=False), trial(2, 73, announced=False)]
    assert [verdict.met for verdict in judge(trials)] == [True, True]
    late = judge([*trials, trial(4, 71, announced=False)])[0]
    assert (late.met, late.found) == (False, "88.8 % at 4 times, 1.5 s hang up")


def test_who_hangs_up_is_no_fault_and_whatever_else_is_one() -> None:
    base, hung_up = trial(1, 100), trial(2, 100)
    hung_up = replace(hung_up, figures=replace(hung_up.figures, planned=1100, gone=100))
    assert judge([base, hung_up])[1].met
    assert not judge([base, hung_up, trial(4, 100, outcomes=("500",))])[1].met
