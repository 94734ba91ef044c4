import pytest

from bench.load.scenarios.over_http import EngineRound, HttpPair, cores, judge
from tests.unit.bench.load.made import figures, run


def pair(http: float, engine: float = 100.0, lost: int = 0) -> HttpPair:
    """Return a round of server and engine, in texts a second of 40 tokens each."""
    return HttpPair(
        EngineRound(int(10 * engine), int(400 * engine), 10.0, 20.0),
        run(figures(http, planned=round(10 * http) + lost, broken=lost)),
    )


def test_the_median_round_decides() -> None:
    pairs = [pair(90), pair(85), pair(20)]
    assert [verdict.met for verdict in judge(pairs, 0.80)] == [True, True]
    assert judge(pairs, 0.80)[0].found == "85.0 %"
    assert not judge(pairs, 0.95)[0].met


def test_each_round_is_set_against_its_own_engine() -> None:
    """A slow-down of the machine affects both and leaves the share unchanged."""
    assert judge([pair(90, 100), pair(45, 50), pair(180, 200)], 0.9)[0].found == "90.0 %"


def test_a_request_without_an_answer_is_told() -> None:
    verdict = judge([pair(90), pair(90, lost=1)], 0.8)[1]
    assert not verdict.met


def test_cpu_is_shared_out_by_process() -> None:
    shares = cores([pair(50)])
    assert {name: busy for name, (busy, _) in shares.items()} == {
        "engine alone": 2.0,
        "server, whole": 0.8,
        "server, its event loop": 0.2,
        "client": 0.05,
    }
    assert [each for _, each in shares.values()] == pytest.approx([20_000, 16_000, 4_000, 1_000])
