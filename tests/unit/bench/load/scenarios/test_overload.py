import pytest

from bench.load.figures import Figures, Outcome
from bench.load.scenarios.overload import OverloadMeasured, flood, judge
from tests.unit.bench.load.made import figures, latency

FLAT = [100_000_000] * 9


def refused(count: int = 1000, p99: float = 0.005, retry_after: int | None = None) -> dict[str, Outcome]:
    return {"429": Outcome(count, count if retry_after is None else retry_after, latency(p99))}


def judged(flooded: Figures, resident: list[int] = FLAT) -> list[bool]:
    capacities = [figures(95), figures(105)]
    return [verdict.met for verdict in judge(OverloadMeasured(figures(110), capacities, [flooded], resident))]


def test_all_is_well() -> None:
    assert judged(figures(96, refused=refused())) == [True, True, True, True]


def test_goodput_is_set_against_the_capacity_before_and_after() -> None:
    assert judged(figures(94, refused=refused())) == [False, True, True, True]


def test_a_drift_of_the_machine_cancels_and_one_bad_round_in_three_does_not_decide() -> None:
    capacities = [figures(rate) for rate in (100, 80, 60, 60)]
    floods = [figures(rate, refused=refused()) for rate in (88, 69, 20)]
    assert judge(OverloadMeasured(figures(110), capacities, floods, FLAT))[0].met
    assert OverloadMeasured(figures(110), capacities, floods, FLAT).goodput[0] == pytest.approx(88 / 90)


def test_one_round_with_a_wrong_answer_decides() -> None:
    wrong = figures(100, refused=refused() | {"500": Outcome(1, 0, latency(0.1))})
    floods = [figures(100, refused=refused()), wrong, figures(100, refused=refused(p99=0.02))]
    verdicts = judge(OverloadMeasured(figures(110), [figures(100)] * 4, floods, FLAT))
    assert [verdict.met for verdict in verdicts] == [True, False, False, True]


@pytest.mark.parametrize(
    "flooded",
    [
        figures(100, refused=refused(retry_after=999)),
        figures(100, refused=refused() | {"500": Outcome(1, 0, latency(0.1))}),
        figures(100, refused=refused() | {"504": Outcome(1, 0, latency(60))}),
        figures(100, refused=refused(), planned=2001, broken=1),
        figures(100, refused=refused(), planned=2001, unanswered=1),
        figures(100, refused=refused(), planned=2001, unsent=1),
    ],
    ids=["without Retry-After", "500", "504", "broken", "unanswered", "unsent"],
)
def test_only_good_answers_and_refusals_are_right(flooded: Figures) -> None:
    assert judged(flooded) == [True, False, True, True]


def test_refusals_are_quick_and_there_are_some() -> None:
    assert judged(figures(100, refused=refused(p99=0.02))) == [True, True, False, True]
    assert judged(figures(100)) == [True, True, False, True]


def test_memory_is_flat() -> None:
    assert judged(figures(100, refused=refused()), [100, 100, 100, 110, 110, 110]) == [True, True, True, False]


def test_the_flood_is_twice_the_capacity_and_counts_once_the_queue_is_full() -> None:
    load = flood(figures(100), seconds=300, queue=8000)
    assert (load.rate, load.seconds) == (200, 300)
    # The excess is 4,000 tokens a second: the queue is full after 2 seconds.
    assert 2.0 < load.warm_s < 6.0
