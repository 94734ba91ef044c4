from dataclasses import replace

from bench.load.figures import Latency, Outcome
from bench.load.scenarios.steady import judge
from tests.unit.bench.load.made import figures


def test_all_is_well() -> None:
    assert [verdict.met for verdict in judge(figures())] == [True, True]


def test_a_slow_hundredth_or_a_lost_request_is_seen() -> None:
    slow = replace(figures(), outcomes={"200": Outcome(1000, 0, Latency(0.010, 0.020, 0.051, 0.1))})
    assert [verdict.met for verdict in judge(slow)] == [False, True]
    assert [verdict.met for verdict in judge(figures(planned=1001, broken=1))] == [True, False]


def test_no_answer_at_all_is_not_well() -> None:
    assert [verdict.met for verdict in judge(figures(0.0, planned=5, unanswered=5))] == [True, False]
