from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources import csv_file
from server.migrate.sources.csv_file import make
from server.migrate.sources.source import Broken


def test_quotes_commas_and_line_ends_in_a_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('id,text,lang\r\nx,"a, ""b""\nc",en\r\ny,d,\r\n', newline="")
    records = list(make(str(path), {"metadata_fields": "lang"}).records(0))
    assert records == [Record(0, "x", 'a, "b"\nc', {"lang": "en"}), Record(1, "y", "d", {"lang": ""})]


def test_tabs_in_a_tsv(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_text("id\ttext\nx\ta, b\n")
    assert list(make(str(path), {}).records(0)) == [Record(0, "x", "a, b")]


@pytest.mark.parametrize(("row", "cells"), [("3,Revenue rose to 1,200 euros in May", 3), ("4", 1)])
def test_a_row_of_more_or_fewer_cells_than_names_is_one_broken_record(tmp_path: Path, row: str, cells: int) -> None:
    path = tmp_path / "texts.csv"
    path.write_text(f'\nid,text\n1,a\n2,"b\nb"\n{row}\n5,c\n')
    records = list(make(str(path), {}).records(0))
    assert [record.text for record in records if isinstance(record.text, str)] == ["a", "b\nb", "c"]
    assert isinstance(records[2].text, Broken)
    assert f"line 6 has {cells} cells where the first line names 2" in records[2].text.reason


def test_two_columns_of_one_name_are_refused_and_two_without_a_name_are_not(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("id,text,text\n1,a,b\n")
    with pytest.raises(MigrateError, match="two columns are named text; rename one"):
        list(make(str(path), {}).records(0))
    path.write_text("id,text,,\n1,a,,\n")
    assert list(make(str(path), {}).records(0)) == [Record(0, "1", "a")]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_told_from_a_line_of_names_without_a_comma(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "texts.csv"
    path.write_text(f"\ufeffid{delimiter}text\r\nx{delimiter}a, b\r\n", "utf-8", newline="")
    assert list(make(str(path), {}).records(0)) == [Record(0, "x", "a, b")]


def test_a_comma_in_a_quoted_name_separates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('"id";"text, long"\nx;a\n')
    assert list(make(str(path), {"text_field": "text, long"}).records(0)) == [Record(0, "x", "a")]


def test_where_no_row_can_be_read_each_says_why(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("id,text,lang\nx,a\ny,b\n")
    records = list(make(str(path), {"metadata_fields": "lang"}).records(0))
    assert all(isinstance(record.text, Broken) for record in records)


def test_a_field_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "LONGEST_FIELD", 100)
    path = tmp_path / "texts.csv"
    path.write_text('text\na\n"' + "b\n" * 200)
    with pytest.raises(MigrateError, match=r"after line \d+: field larger than field limit"):
        list(make(str(path), {}).records(0))


def test_a_quote_that_does_not_close_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('id,text\nx,"a\ny,b\n')
    with pytest.raises(MigrateError, match=r"texts.csv, after line 1: .*check the quotes"):
        list(make(str(path), {}).records(0))
