from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.csv_file import make


def test_quotes_commas_and_line_ends_in_a_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('id,text,lang\r\nx,"a, ""b""\nc",en\r\ny,d,\r\n', newline="")
    found = list(make(str(path), {"metadata_fields": "lang"}).records(0))
    assert found == [Record(0, "x", 'a, "b"\nc', {"lang": "en"}), Record(1, "y", "d", {"lang": ""})]


def test_tabs_in_a_tsv(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_text("id\ttext\nx\ta, b\n")
    assert list(make(str(path), {}).records(0)) == [Record(0, "x", "a, b")]


def test_a_short_row_has_no_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("id,text\nx,a\ny\n")
    assert [record.text for record in make(str(path), {}).records(0)] == ["a", None]


def test_a_quote_that_does_not_close_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('id,text\nx,"a\ny,b\n')
    with pytest.raises(MigrateError, match=r"texts.csv, after line 1: .*check the quotes"):
        list(make(str(path), {}).records(0))
