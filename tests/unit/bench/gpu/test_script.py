"""The GPU script on a CPU with a tiny model: every step except installation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT
from tests.unit.bench.conftest import drawn
from tests.unit.server import tiny

SCRIPT = ROOT / "bench" / "gpu.sh"


def run(*arguments: object, **variables: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    command = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.whole
def test_it_checks_measures_and_writes_table_figures_and_chart(models_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures"
    settings = {"DEVICE": "cpu", "MODEL": tiny.NAME, "MODELS_DIR": models_dir, "RUNTIME": sys.executable}
    done = run("--out", out, BUILD="none", ROUNDS=1, LOAD_SECONDS=0.3, **settings)
    assert done.returncode == 0, done.stderr
    written = json.loads((out / "figures.json").read_text())
    assert written["fidelity"]["least"] > 0.99999
    assert written["ready_s"] > 0
    assert set(written["batches"]) == {"medium", "long", "mixed"}
    assert all(batch["matrix_rate"] > 0 for batch in written["batches"].values())
    assert [served["run"]["loads"][0]["outcomes"].keys() for served in written["served"]] == [{"200"}] * 3
    # With the no-op engine, too, every request succeeds.
    assert all(served["run"]["loads"][0]["texts_per_s"] > 0 for served in written["ceiling"])
    report = (out / "report.md").read_text()
    assert report.count("| --- |") == 4
    assert "| no node on the CPU | 0 | yes |" in report
    drawn((out / "speed.svg").read_text())


def test_a_folder_of_wheels_that_is_not_there_is_told_before_anything_is_done(tmp_path: Path) -> None:
    done = run("--wheels", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "there is no folder of wheels" in done.stderr


def test_what_it_does_not_know_gets_its_usage() -> None:
    done = run("--faster")
    assert done.returncode == 2
    assert "--wheels DIR" in done.stderr
