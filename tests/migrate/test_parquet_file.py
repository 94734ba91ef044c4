import tempfile
import uuid
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.migrate.errors import MigrateError
from server.migrate.inputs import open_source
from server.migrate.record import Record
from server.migrate.sources import parquet_file
from server.migrate.sources.parquet_file import make
from server.migrate.sources.source import Broken


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


NAMED = uuid.UUID("00000000-0000-4000-8000-000000000001")
IDS = {
    "text": (pyarrow.array(["x"]), "x"),
    "large text": (pyarrow.array(["x"], pyarrow.large_string()), "x"),
    "dictionary": (pyarrow.array(["x"]).dictionary_encode(), "x"),
    "uint64": (pyarrow.array([(1 << 64) - 1], pyarrow.uint64()), str((1 << 64) - 1)),
    "whole float": (pyarrow.array([7.0]), "7"),
    "decimal": (pyarrow.array([Decimal("12345678901234567890")]), "12345678901234567890"),
    "uuid": (pyarrow.array([NAMED.bytes], pyarrow.uuid()), str(NAMED)),
    "date": (pyarrow.array([date(2024, 5, 1)]), "2024-05-01"),
    "time": (pyarrow.array([datetime(2024, 5, 1, 10)]), "2024-05-01T10:00:00"),
    "nanoseconds": (
        pyarrow.array([1_714_557_600_000_000_001], pyarrow.timestamp("ns")),
        "2024-05-01T10:00:00.000000001",
    ),
    "binary": (pyarrow.array([b"x"]), None),
    "float": (pyarrow.array([7.5]), None),
    "boolean": (pyarrow.array([True]), None),
    "list": (pyarrow.array([[7]]), None),
    "null": (pyarrow.array([None], pyarrow.int64()), None),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_type_are_read_or_refused_by_their_type(tmp_path: Path, kind: str) -> None:
    column, expected = IDS[kind]
    pyarrow.parquet.write_table(pyarrow.table({"id": column, "text": ["a"]}), tmp_path / "texts.parquet")
    (record,) = make(str(tmp_path / "texts.parquet"), {}).records(0)
    if expected is None:
        assert isinstance(record.text, Broken)
        assert "its id (field id) is" in record.text.reason
    else:
        assert record == Record(0, expected, "a")


def test_bytes_and_times_are_carried_along_as_text(tmp_path: Path) -> None:
    columns = {
        "text": ["a"],
        "raw": [b"\xff"],
        "nanoseconds": pyarrow.array([1], pyarrow.timestamp("ns", "UTC")),
        "time": pyarrow.array([1], pyarrow.time64("ns")),
        "far": pyarrow.array([3_000_000], pyarrow.date32()),
        "missing": [float("nan")],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "texts.parquet")
    (record,) = make(str(tmp_path / "texts.parquet"), {"metadata_fields": ",".join(columns)}).records(0)
    assert record.metadata["raw"] == "/w=="
    assert record.metadata["nanoseconds"].startswith("1970-01-01T00:00:00.000000001")
    assert record.metadata["time"] == "00:00:00.000000001"
    assert record.metadata["far"] == "10183-09-21"
    assert "missing" not in record.metadata


def test_fields_in_structs(tmp_path: Path) -> None:
    table = pyarrow.table({"payload": [{"text": "a", "n": 1}], "id": ["x"], "vector": [[0.1]]})
    pyarrow.parquet.write_table(table, tmp_path / "texts.parquet")
    asked = {"text_field": "payload.text", "metadata_fields": "payload.n"}
    assert list(make(str(tmp_path / "texts.parquet"), asked).records(0)) == [Record(0, "x", "a", {"payload.n": 1})]


def test_two_columns_of_one_name_and_a_column_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, ["text", "text"]), path)
    with pytest.raises(MigrateError, match="two columns are named text"):
        list(make(str(path), {}).records(0))
    pyarrow.parquet.write_table(pyarrow.table({"body": ["a"], "n": [1]}), path)
    with pytest.raises(MigrateError, match=r"no such column: --text-field text; there are: body, n"):
        list(make(str(path), {}).records(0))


def test_a_folder_of_parts_is_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "lang=en").mkdir()
    for name, text in (("part-00001", "b"), ("part-00000", "a"), ("lang=en/part-00000", "c")):
        pyarrow.parquet.write_table(pyarrow.table({"text": [text]}), tmp_path / f"{name}.snappy.parquet")
    (tmp_path / "_SUCCESS").touch()
    source = open_source(str(tmp_path), None, {})
    assert [record.text for record in source.records(0)] == ["c", "a", "b"]
    assert [record.id for record in source.records(1)] == ["1", "2"]
    assert source.count() == 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=25)
@given(
    rows=st.lists(st.tuples(TEXTS.filter(bool), TEXTS), min_size=1, max_size=6), group=st.integers(1, 3), data=st.data()
)
def test_records_come_back_exactly_and_a_file_that_was_cut_is_refused(
    rows: list[tuple[str, str]], group: int, data: st.DataObject
) -> None:
    ids, texts = zip(*rows, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"id": ids, "text": texts}), path, row_group_size=group)
        assert [(record.id, record.text) for record in make(str(path), {}).records(0)] == rows
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        with pytest.raises(MigrateError, match="cannot be read"):
            list(make(str(path), {}).records(0))
