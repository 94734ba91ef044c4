"""Whole jobs on Ray, in processes of their own: Ray leaves threads and handlers behind in whoever starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from server.migrate.sinks.registry import read
from tests.faults.migration import finish, start
from tests.serving import MINILM, MODELS, ROOT

pytest.importorskip("ray", reason="Ray is an extra of its own (requirements/ray.txt)")

FLAGS = ("--format", "parquet", "--engine", "ray", "--threads", "1", "--quantization", "int8")


def write_parts(folder: Path, parts: int, rows: int) -> list[str]:
    """Write a folder of Parquet files; return all ids in order."""
    folder.mkdir()
    texts = [f"text {number} of many that are short" for number in range(parts * rows)]
    for part in range(parts):
        mine = range(part * rows, (part + 1) * rows)
        columns = {"id": [f"id-{number}" for number in mine], "text": [texts[number] for number in mine]}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"{part:04}.parquet")
    return [f"id-{number}" for number in range(parts * rows)]


def ray(module: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run a module with Ray, on all-MiniLM-L6-v2."""
    environ = {**os.environ, "MODEL": MINILM, "MODELS_DIR": str(MODELS), "DEVICE": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", module, *flags, *FLAGS]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.timeout(600)
def test_a_node_that_dies_half_way_costs_no_row_and_doubles_none(tmp_path: Path) -> None:
    ids = write_parts(tmp_path / "in", 24, 150)
    output = tmp_path / "out"
    done = ray("tests.migrate.ray_cluster", "--input", str(tmp_path / "in"), "--output", str(output), "--window", "50")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed a node when" in done.stdout
    assert "2 of 3 nodes are left" in done.stdout
    table = pyarrow.parquet.read_table(output)
    assert sorted(table.column("id").to_pylist()) == sorted(ids)
    vectors = np.array(table.column("embedding").to_pylist(), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    receipt = json.loads((tmp_path / "out.migrate" / "receipt.json").read_bytes())
    assert receipt["counts"]["records"] == receipt["counts"]["rows"] == len(ids)


@pytest.mark.timeout(600)
def test_vectors_are_those_of_the_local_engine_in_order_and_rejects_are_set_apart(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    texts = [None if number == 7 else f"text {number}" for number in range(60)]
    pyarrow.parquet.write_table(pyarrow.table({"id": [f"id-{n}" for n in range(60)], "text": texts}), source)
    skip = ("--on-error", "skip")
    done = ray("server.migrate", "--input", str(source), "--output", str(tmp_path / "out"), *skip)
    assert done.returncode == 0, done.stdout + done.stderr
    status, _, err = finish(start(source, tmp_path / "local.parquet", *skip))
    assert status == 0, err
    (path,) = (tmp_path / "out").glob("*.parquet")
    rows, local = list(read(str(path), "parquet")), list(read(str(tmp_path / "local.parquet"), "parquet"))
    assert [row.id for row in rows] == [row.id for row in local]
    assert np.allclose([row.vector for row in rows], [row.vector for row in local], atol=1e-3)
    rejects = pyarrow.parquet.read_table(tmp_path / "out.rejects").to_pylist()
    assert rejects == [{"id": "id-7", "reason": "there is no text (null)"}]
    assert not (tmp_path / "out.whole").exists()
    again = ray("server.migrate", "--input", str(source), "--output", str(tmp_path / "out"))
    assert (again.returncode, "out exists; choose another --output" in again.stderr) == (1, True), again.stderr
    failed = ray("server.migrate", "--input", str(source), "--output", str(tmp_path / "none"))
    assert failed.returncode == 1
    assert "the record with id 'id-7' cannot be embedded: there is no text (null)" in failed.stderr
