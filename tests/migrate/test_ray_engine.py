"""Complete jobs on a Ray cluster, in a subprocess: Ray leaves threads and handlers behind."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.migrate.outputs import read
from tests.faults.migration import finish, start
from tests.serving import MINILM, MODELS, ROOT

pytest.importorskip("ray", reason="needs requirements/ray.txt")
arrow: Any = pytest.importorskip("pyarrow", reason="needs requirements/stores.txt")
parquet: Any = pytest.importorskip("pyarrow.parquet", reason="needs requirements/stores.txt")

pytestmark = pytest.mark.usefixtures("only_ray")

FLAGS = ("--format", "parquet", "--engine", "ray", "--threads", "1", "--quantization", "int8")
PARTS, ROWS = 8, 100


@dataclass(frozen=True)
class Done:
    """The folder with inputs and outputs, and the results of the jobs."""

    folder: Path
    results: list[dict[str, Any]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A job that loses a node half-way, one that skips a bad record, and one that must fail on it."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "many").mkdir()
    for part in range(PARTS):
        texts = [f"text {number} of many that are short" for number in range(part * ROWS, (part + 1) * ROWS)]
        _write(folder / "many" / f"{part:04}.parquet", texts, part)
    _write(folder / "bad.parquet", [None if number == 7 else f"text {number}" for number in range(60)])
    # A URL, as for object stores.
    skipped = _ends(folder / "bad.parquet", (folder / "skipped").as_uri())
    jobs = [
        [*_ends(folder / "many", folder / "out"), "--window", "50"],
        [*skipped, "--on-error", "skip", "--journal", str(folder / "journal")],
        _ends(folder / "bad.parquet", folder / "failed"),
        _ends(folder / "bad.parquet", folder / "out"),
    ]
    environ = {**os.environ, "MODEL": MINILM, "MODELS_DIR": str(MODELS), "DEVICE": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.migrate.ray_cluster", json.dumps([[*job, *FLAGS] for job in jobs])]
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=500, check=False)
    results = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"status"')]
    assert len(results) == len(jobs), ran.stdout + ran.stderr
    return Done(folder, results)


def _ends(source: Path, output: Path | str) -> list[str]:
    return ["--input", str(source), "--output", str(output)]


def _write(path: Path, texts: list[str | None] | list[str], part: int = 0) -> None:
    ids = [f"id-{part * ROWS + number}" for number in range(len(texts))]
    parquet.write_table(arrow.table({"id": ids, "text": texts}), path)


@pytest.mark.timeout(600)
def test_a_node_that_dies_half_way_costs_no_row_and_doubles_none(done: Done) -> None:
    result = done.results[0]
    assert (result["status"], result["alive"]) == (0, 2), result["said"]
    assert 0 < result["killed_at"] < len(list((done.folder / "out").glob("*.parquet")))
    table = parquet.read_table(done.folder / "out")
    assert sorted(table.column("id").to_pylist()) == sorted(f"id-{number}" for number in range(PARTS * ROWS))
    vectors = np.array(table.column("embedding").to_pylist(), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    receipt = json.loads((done.folder / "out.migrate" / "receipt.json").read_bytes())
    assert receipt["counts"]["records"] == receipt["counts"]["rows"] == PARTS * ROWS


@pytest.mark.timeout(600)
def test_vectors_are_those_of_the_local_engine_in_order_and_rejects_are_set_apart(done: Done) -> None:
    assert done.results[1]["status"] == 0, done.results[1]["said"]
    status, _, err = finish(start(done.folder / "bad.parquet", done.folder / "local.parquet", "--on-error", "skip"))
    assert status == 0, err
    (path,) = (done.folder / "skipped").glob("*.parquet")
    rows, local = list(read(str(path), "parquet")), list(read(str(done.folder / "local.parquet"), "parquet"))
    assert [row.id for row in rows] == [row.id for row in local]
    assert np.allclose([row.vector for row in rows], [row.vector for row in local], atol=1e-3)
    rejects = parquet.read_table(done.folder / "skipped.rejects").to_pylist()
    assert rejects == [{"id": "id-7", "reason": "there is no text (null)"}]
    assert not (done.folder / "skipped.whole").exists()


@pytest.mark.timeout(600)
def test_what_a_worker_refuses_and_an_output_that_exists_are_told(done: Done) -> None:
    failed, again = done.results[2:]
    assert failed["status"] == again["status"] == 1
    assert "the record with id 'id-7' cannot be embedded: there is no text (null)" in failed["said"]
    assert "out exists; choose another --output" in again["said"]
