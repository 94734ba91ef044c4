"""Scenarios end to end on a tiny model, with real servers and clients. No rates are asserted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.load import report, stage
from bench.load.finding import Finding
from bench.load.scenarios import burst
from bench.process import WorkerError
from tests.unit.server import tiny


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> list[str]:
    """Return the command line of a short run."""
    pace = replace(stage.SHORT, rounds=1, seconds=0.4, warm_s=0.1, overload_s=0.5, soak_s=1.0, steady_s=0.5, idle=20)
    monkeypatch.setattr(burst, "BURST_S", 0.3)
    monkeypatch.setattr(burst, "BACK_S", 0.2)
    monkeypatch.setattr(stage, "SHORT", pace)
    return ["load", "--short", "--models-dir", str(models_dir), "--model", tiny.NAME, "--threads", "1"]


@pytest.mark.whole
def test_scenarios_measure_and_judge(given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenarios = [name for name in report.NAMES if name != "peers"]
    more = ["--scenarios", ",".join(scenarios), "--quantization", "fp32", "--minutes", "0.02"]
    more += ["--json", str(tmp_path / "load.json"), "--markdown"]
    assert main([*given, *more]) == 0
    said = capsys.readouterr().out
    written = json.loads((tmp_path / "load.json").read_text())
    assert list(written["scenarios"]) == scenarios
    for name, finding in written["scenarios"].items():
        assert finding["verdicts"]
        for verdict in finding["verdicts"]:
            word = "met" if verdict["met"] else "not met"
            assert f"| {name}: {verdict['asked']} | {verdict['found']} | {word} |" in said
    assert written["scenarios"]["idle"]["rounds"][0]["held"] == 20
    assert written["scenarios"]["http"]["rounds"][0]["served"]["loads"][0]["outcomes"].keys() == {"200"}


def test_a_scenario_that_fails_is_left_out_with_a_word(
    given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: stage.Stage) -> Finding:
        raise WorkerError("server: ended with status 3")

    monkeypatch.setitem(report.SCENARIOS, "idle", fail)
    assert main([*given, "--quantization", "fp32", "--scenarios", "idle"]) == 1
    said = capsys.readouterr()
    assert "skipped idle: server: ended with status 3" in said.err
    assert "nothing could be measured" in said.err


def test_a_precision_that_is_not_built_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*given, "--quantization", "int8"]) == 1
    assert "tiny is built in fp32, not in int8" in capsys.readouterr().err


def test_an_unknown_scenario_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*given, "--scenarios", "http,picnic"])
    assert "choose from http, forms, peers, start" in capsys.readouterr().err
