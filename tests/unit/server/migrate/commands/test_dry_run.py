from pathlib import Path

import pytest

from server.migrate import options
from server.migrate.commands import dry_run
from server.migrate.errors import MigrateError
from tests.unit.server.migrate.jobs import settings, write_input


def test_everything_is_counted_and_nothing_written(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", ["a", "a cat", None, "cat " * 30])
    asked = options.parse(["--input", str(source), "--dry-run", "--price-per-hour", "2", "--chunk", "14:0"])
    before = sorted(tmp_path.rglob("*"))
    estimated = dry_run.estimate(asked, settings(models_dir, asked))
    assert sorted(tmp_path.rglob("*")) == before
    assert (estimated["records"], estimated["rejected"], estimated["rows"], estimated["truncated"]) == (4, 1, 5, 0)
    assert estimated["tokens"] == 3 + 4 + 30 + 2 * 3
    assert estimated["histogram"] == {"4": 3, "16": 2}
    assert estimated["vector_bytes"] == 5 * 8 * 4
    assert estimated["seconds"] >= 0
    assert estimated["cost"] is not None
    said = "\n".join(dry_run.lines(estimated))
    assert "4 records, 1 of them cannot be embedded" in said
    assert "at the price given" in said


def test_an_input_without_records_is_refused_and_one_of_rejects_takes_no_time(models_dir: Path, tmp_path: Path) -> None:
    source = write_input(tmp_path / "texts.json", [])
    asked = options.parse(["--input", str(source), "--dry-run"])
    with pytest.raises(MigrateError, match="has no records"):
        dry_run.estimate(asked, settings(models_dir, asked))
    write_input(source, [None])
    estimated = dry_run.estimate(asked, settings(models_dir, asked))
    assert (estimated["records"], estimated["seconds"], estimated["cost"]) == (1, 0, None)
