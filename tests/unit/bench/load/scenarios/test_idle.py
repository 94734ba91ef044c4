from bench.load.scenarios.idle import IdlePair, judge
from tests.unit.bench.load.made import figures


def pair(alone: float, beside: float, held: int = 5000, health: float = 0.02) -> IdlePair:
    return IdlePair(figures(20, alone), figures(20, beside), figures(20, health), held)


def test_the_median_round_decides() -> None:
    pairs = [pair(0.100, 0.109), pair(0.100, 0.200), pair(0.100, 0.090)]
    assert [verdict.met for verdict in judge(pairs, 5000, 20_000)] == [True, True, True, True]
    slower = [pair(0.100, 0.112), pair(0.100, 0.200), pair(0.100, 0.090)]
    assert [verdict.met for verdict in judge(slower, 5000, 20_000)] == [False, True, True, True]


def test_a_percentile_of_few_requests_says_so() -> None:
    assert judge([pair(0.1, 0.1)], 5000, 20_000)[0].found.endswith("; 200 requests in a round)")


def test_connections_that_were_not_held_prove_nothing_and_the_limit_is_told() -> None:
    verdict = judge([pair(0.1, 0.1), pair(0.1, 0.1, held=512)], 5000, 1024)[2]
    assert not verdict.met
    assert verdict.found == "512; a process here may open 1,024 files"


def test_one_round_of_slow_probes_decides() -> None:
    verdicts = judge([pair(0.1, 0.1), pair(0.1, 0.1, health=0.11)], 5000, 20_000)
    assert [verdict.met for verdict in verdicts] == [True, False, True, True]
