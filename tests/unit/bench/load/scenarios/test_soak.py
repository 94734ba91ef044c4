from bench.load.scenarios.soak import SoakMeasured, judge
from bench.load.usage import Track
from tests.unit.bench.load.made import figures

FLAT = Track([100_000_000] * 9, [40] * 9)


def test_all_is_well() -> None:
    assert [verdict.met for verdict in judge(SoakMeasured(figures(), FLAT, 30, 30))] == [True, True, True]


def test_each_leak_is_seen() -> None:
    climbing = Track([100_000_000 + 1_000_000 * second for second in range(30)], [40] * 30)
    assert [verdict.met for verdict in judge(SoakMeasured(figures(), climbing, 30, 30))] == [False, True, True]
    assert [verdict.met for verdict in judge(SoakMeasured(figures(), FLAT, 30, 31))] == [True, False, True]
    lost = figures(planned=1001, unanswered=1)
    assert [verdict.met for verdict in judge(SoakMeasured(lost, FLAT, 30, 30))] == [True, True, False]
