from dataclasses import replace
from pathlib import Path

import pytest

from bench import catalog
from bench.load.caller import Run
from bench.load.scenarios import peers
from bench.load.scenarios.peers import commands, judge, ratios
from bench.load.stage import SHORT, Stage
from bench.subject import BenchSubject
from tests.unit.bench.load.made import figures, run


def rounds(**texts_per_s: list[float]) -> dict[str, list[Run]]:
    return {name: [run(figures(rate)) for rate in rates] for name, rates in texts_per_s.items()}


def test_each_round_is_set_against_the_same_round() -> None:
    runs = rounds(server=[400, 800, 400], infinity=[50, 100, 40], fastapi=[40, 100, 200])
    assert ratios(runs) == {"infinity": 8.0, "fastapi": 8.0}
    assert [verdict.met for verdict in judge(runs)] == [True, True, True]


def test_each_peer_is_judged() -> None:
    verdicts = judge(rounds(server=[400], infinity=[51], fastapi=[10]))
    assert [verdict.met for verdict in verdicts] == [False, True, True]
    assert verdicts[0].found == "7.8 times"


def test_without_peers_there_is_nothing_to_compare() -> None:
    assert [verdict.asked for verdict in judge(rounds(server=[400]))] == ["every request answered"]


def test_a_peer_that_answered_nothing_in_a_round_is_not_beaten_but_not_measured() -> None:
    verdict = judge(rounds(server=[400, 400, 400], infinity=[20, 0, 20]))[0]
    assert not verdict.met
    assert "measure longer" in verdict.found


def test_peers_get_our_number_of_threads_and_the_folder(subject: BenchSubject) -> None:
    infinity, plain = commands(Stage(subject, "fp32", SHORT), "/weights")
    assert "/weights" in infinity.arguments
    assert plain.environment["MODEL"] == "/weights"
    assert {one.environment["OMP_NUM_THREADS"] for one in (infinity, plain)} == {str(subject.threads)}
    assert all("{port}" in one.arguments for one in (infinity, plain))


@pytest.mark.whole
def test_without_their_environment_the_peers_are_skipped_with_a_word(
    monkeypatch: pytest.MonkeyPatch, subject: BenchSubject, tmp_path: Path
) -> None:
    monkeypatch.setitem(catalog.PYTHONS, "peers", tmp_path / "bin" / "python")
    finding = peers.run(Stage(subject, "fp32", replace(SHORT, rounds=1, seconds=0.3, warm_s=0.1)))
    assert "make .venv-peers/ready" in finding.skipped["peers"]
    assert finding.figures["rounds"].keys() == {"server"}
