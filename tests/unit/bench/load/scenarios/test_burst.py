import pytest

from bench.load.figures import Figures, Outcome
from bench.load.scenarios.burst import BurstMeasured, judge, plan
from tests.unit.bench.load.made import figures, latency

REFUSED = {"429": Outcome(9000, 9000, latency(0.005))}


def judged(after: Figures, burst: Figures | None = None) -> list[bool]:
    return [verdict.met for verdict in judge(BurstMeasured(figures(), burst or figures(refused=REFUSED), after))]


def test_all_is_well() -> None:
    assert judged(figures(p99=0.14)) == [True, True, True]


def test_a_queue_that_lasts_is_seen() -> None:
    assert judged(figures(p99=0.16)) == [False, True, True]


def test_a_lost_request_is_seen() -> None:
    assert judged(figures(planned=1001, unanswered=1)) == [True, False, True]


def test_a_refusal_without_a_time_or_an_error_in_the_burst_is_seen() -> None:
    silent = {"429": Outcome(9000, 8999, latency(0.005))}
    assert judged(figures(), figures(refused=silent)) == [True, True, False]
    assert judged(figures(), figures(refused={"500": Outcome(1, 0, latency(0.1))})) == [True, True, False]


def test_the_three_follow_each_other() -> None:
    before, burst, after = plan(rate=100, seconds=10, warm_s=1)
    assert burst.delay_s == 11
    assert burst.rate == 10 * before.rate == 10 * after.rate
    assert after.delay_s == pytest.approx(burst.delay_s + burst.warm_s + burst.seconds + 10)
