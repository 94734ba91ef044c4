"""The load harness against a real server: that it measures, not what."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.load import stage
from tests.serving import MINILM, MODELS


def test_overload_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pace = replace(stage.SHORT, seconds=1.0, warm_s=0.5, overload_s=3.0, queue_tokens=4096)
    monkeypatch.setattr(stage, "SHORT", pace)
    given = ["load", "--scenarios", "overload", "--short", "--model", MINILM, "--models-dir", str(MODELS)]
    given += ["--json", str(tmp_path / "load.json"), "--chart", str(tmp_path / "load.svg")]
    assert main(given) == 0
    assert "overload: goodput at least 95 % of capacity" in capsys.readouterr().out
    found = json.loads((tmp_path / "load.json").read_text())["scenarios"]["overload"]
    flood = found["flood"]
    assert found["capacity"] > 0
    assert flood["texts_per_s"] > 0
    assert flood["outcomes"].keys() <= {"200", "429"}
    assert flood["planned"] == sum(outcome["count"] for outcome in flood["outcomes"].values()) + flood["unsent"]
    assert min(found["resident"]) > 50_000_000
    assert (tmp_path / "load.svg").read_text().startswith("<svg")
