"""The load harness measures a real server; the figures themselves are not checked."""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.load import stage
from bench.load.scenarios import soak
from bench.load.service import ServiceCommand
from bench.load.stage import Stage
from bench.subject import open_subject
from tests.serving import MINILM, MODELS

pytestmark = pytest.mark.alone


def test_overload_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pace = replace(stage.SHORT, rounds=1, seconds=2.0, warm_s=0.5, overload_s=3.0, queue_tokens=4096)
    monkeypatch.setattr(stage, "SHORT", pace)
    given = ["load", "--scenarios", "overload", "--short", "--model", MINILM, "--models-dir", str(MODELS)]
    given += ["--json", str(tmp_path / "load.json")]
    assert main(given) == 0
    assert "overload: goodput at least 95 % of capacity" in capsys.readouterr().out
    report = json.loads((tmp_path / "load.json").read_text())["scenarios"]["overload"]
    (flood,) = report["floods"]
    assert len(report["capacities"]) == 2
    assert flood["texts_per_s"] > 0
    assert flood["outcomes"].keys() <= {"200", "429"}
    assert flood["planned"] == sum(outcome["count"] for outcome in flood["outcomes"].values()) + flood["unsent"]
    assert min(report["resident"]) > 50_000_000


@dataclass(frozen=True)
class Leaking(Stage):
    """A stage whose server leaks memory."""

    def command(self) -> ServiceCommand:
        return replace(super().command(), arguments=(sys.executable, "-m", "tests.faults.leaking_server"))


def test_a_server_that_leaks_fails_the_soak() -> None:
    seconds = 60 * float(os.environ.get("SOAK_MINUTES", "0.1"))
    pace = replace(stage.SHORT, rounds=1, seconds=2.0, soak_s=seconds)
    memory, *_ = soak.run(Leaking(open_subject(MODELS, MINILM, 1), "int8", pace)).verdicts
    assert not memory.met, memory.found
