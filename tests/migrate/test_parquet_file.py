from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources import parquet_file
from server.migrate.sources.parquet_file import make


def test_columns_become_records(tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    table = pyarrow.table({"id": [1, 2], "text": ["a", None], "n": [3, 4], "unused": [b"x", b"y"]})
    pyarrow.parquet.write_table(table, path)
    source = make(str(path), {"metadata_fields": "n"})
    assert list(source.records(0)) == [Record(0, "1", "a", {"n": 3}), Record(1, "2", None, {"n": 4})]
    assert source.count() == 2


def test_records_go_on_over_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "ROWS", 3)
    path = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": [str(n) for n in range(10)]}), path, row_group_size=4)
    assert [record.text for record in make(str(path), {}).records(5)] == ["5", "6", "7", "8", "9"]


def test_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "texts.parquet").write_text("no")
    with pytest.raises(MigrateError, match=r"texts.parquet cannot be read as Parquet"):
        list(make(str(tmp_path / "texts.parquet"), {}).records(0))
