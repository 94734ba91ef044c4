"""A job on Ray refuses folders that Ray would overwrite, before it connects to a cluster."""

from pathlib import Path
from typing import Any

import pytest

from server.migrate import options
from server.migrate.commands import ray_job
from server.migrate.errors import MigrateError
from server.migrate.job.workspace import JobWorkspace
from server.settings import resolve
from tests.unit.server import tiny

arrow: Any = pytest.importorskip("pyarrow", reason="needs requirements/stores.txt")


def refused(folder: Path, *flags: str) -> str:
    ends = ["--input", str(folder / "in.parquet"), "--output", str(folder / "out")]
    asked = options.parse([*ends, "--format", "parquet", "--engine", "ray", "--on-error", "skip", *flags])
    with pytest.raises(MigrateError) as raised:
        ray_job.migrate(asked, resolve({}))
    return str(raised.value)


@pytest.mark.parametrize("restart", [(), ("--restart",)])
@pytest.mark.parametrize("name", ["out", "out.whole", "out.rejects"])
def test_a_folder_of_someone_else_is_not_replaced(tmp_path: Path, name: str, restart: tuple[str, ...]) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.parquet").write_text("years of work")
    assert f"{name} exists and is not this job's" in refused(tmp_path, *restart)
    assert (tmp_path / name / "thesis.parquet").read_text() == "years of work"


def test_what_was_put_into_its_own_folder_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    workspace = JobWorkspace(tmp_path / "out.migrate", str(tmp_path / "out"))
    with workspace.lock():
        workspace.made.note(str(tmp_path / "out"))
    assert "out exists; choose another --output, or --restart" in refused(tmp_path)
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    assert "exists and is not this job's" in refused(tmp_path, "--restart")


def test_the_folder_that_is_read_is_not_the_one_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "in.parquet")
    assert "are one file" in refused(tmp_path, "--restart")


@pytest.mark.parametrize(("dtype", "kind"), [("int8", "fixed_size_list<item: int8>[8]"), ("ubinary", "uint8>[1]")])
def test_a_worker_gives_rows_of_the_output_type_beside_rejected_ones(tmp_path: Path, dtype: str, kind: str) -> None:
    tiny.write_model(tmp_path, changes={"int8_ranges": [1.0] * tiny.DIMENSION})
    flags = ["--format", "parquet", "--engine", "ray", "--on-error", "skip", "--output-dtype", dtype]
    asked = options.parse(["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out"), *flags])
    settings = resolve({"MODEL": tiny.NAME, "MODELS_DIR": str(tmp_path), "DEVICE": "cpu", "THREADS": "1"})
    rows = ray_job.RayWorker(asked, settings)(arrow.table({"id": ["a", "b", "c"], "text": ["the cat", None, "a b"]}))
    assert kind in str(rows.schema.field("embedding").type)
    assert rows.schema.metadata[b"embedding_dtype"] == dtype.encode()
    kept, rejected = ray_job._accepted(rows), ray_job._rejected(rows)
    assert (kept["id"].to_pylist(), rejected["id"].to_pylist()) == (["a", "c"], ["b"])
