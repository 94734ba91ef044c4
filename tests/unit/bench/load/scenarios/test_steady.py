from dataclasses import replace

from bench.load.figures import Figures, Latency, Outcome
from bench.load.scenarios.steady import SteadyPart, judge
from tests.unit.bench.load.made import figures


def parts(*loads: Figures) -> list[SteadyPart]:
    return [SteadyPart(100.0, load) for load in loads]


def slow(times: float) -> Figures:
    """Return figures whose p99 is `times` p50."""
    return replace(figures(), outcomes={"200": Outcome(1000, 0, Latency(0.010, 0.020, 0.010 * times, 0.1))})


def test_all_is_well() -> None:
    assert [verdict.met for verdict in judge(parts(figures()))] == [True, True]


def test_a_slow_hundredth_or_a_lost_request_is_seen() -> None:
    assert [verdict.met for verdict in judge(parts(slow(5.1)))] == [False, True]
    assert [verdict.met for verdict in judge(parts(figures(planned=1001, broken=1)))] == [True, False]


def test_no_answer_at_all_is_not_well() -> None:
    assert [verdict.met for verdict in judge(parts(figures(0.0, planned=5, unanswered=5)))] == [True, False]


def test_the_median_part_decides_and_the_worst_is_told() -> None:
    latency, answered = judge(parts(slow(3), slow(28), slow(4)))
    assert latency.met
    assert "4.0 times, median of 3 parts; 1 above, at most 28.0 times (10.0 ms and 280.0 ms)" in latency.found
    assert answered.met
    assert not judge(parts(slow(3), slow(28), slow(6)))[0].met
