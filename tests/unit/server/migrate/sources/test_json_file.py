import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources import json_file
from server.migrate.sources.json_file import Cursor, make

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def read(path: Path, text: str, **options: str) -> list[Record]:
    path.write_text(text, "utf-8")
    return list(make(str(path), options).records(0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "texts.json"


def test_a_list_of_texts(path: Path) -> None:
    assert read(path, '["a", "b", null, 7]') == [Record(n, str(n), text) for n, text in enumerate(["a", "b", None, 7])]


def test_a_list_of_objects(path: Path) -> None:
    found = read(path, '[{"id": "x", "text": "a", "n": 1}, {"id": 5, "text": "b"}]', metadata_fields="n")
    assert found == [Record(0, "x", "a", {"n": 1}), Record(1, "5", "b")]


def test_an_object_of_texts_by_id(path: Path) -> None:
    assert read(path, '{"x": "a", "y": {"text": "b"}}') == [Record(0, "x", "a"), Record(1, "y", "b")]


@pytest.mark.parametrize("text", ["[]", "{}", " [ ] \n", "\ufeff[]"])
def test_nothing_is_no_record(path: Path, text: str) -> None:
    assert read(path, text) == []


@pytest.mark.parametrize(
    "text",
    ["", "7", '"a"', '["a"', '["a",]', '["a" "b"]', '["a"] ["b"]', "{1: 2}", '{"a" 1}', '["a", b]', "[" * 100_000],
)
def test_what_is_no_list_or_object_is_refused_with_the_place(path: Path, text: str) -> None:
    with pytest.raises(MigrateError, match=r"texts.json is not a JSON list or object of texts: .*"):
        read(path, text)


def test_bytes_that_are_no_utf8_are_refused(path: Path) -> None:
    path.write_bytes(b'["\xff"]')
    with pytest.raises(MigrateError, match="not UTF-8"):
        list(make(str(path), {}).records(0))


def test_records_begin_where_asked(path: Path) -> None:
    path.write_text('["a", "b", "c"]')
    source = make(str(path), {})
    assert [record.ordinal for record in source.records(2)] == [2]
    assert source.count() == 3


@given(st.lists(VALUES, max_size=6), st.integers(1, 9), st.sampled_from([None, 1]))
def test_any_list_is_read_as_json_reads_it_whatever_the_blocks(values: list[object], size: int, indent: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_file, "BLOCK", size)
        cursor = Cursor(io.StringIO(json.dumps(values, indent=indent)))
        cursor.take("[")
        found = []
        while not cursor.closes("]"):
            found.append(cursor.value())
            cursor.separate("]")
        cursor.end()
    assert found == values


def test_an_element_without_end_is_refused_before_it_fills_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "LARGEST_ELEMENT", 1 << 10)
    monkeypatch.setattr(json_file, "BLOCK", 1 << 8)
    with pytest.raises(MigrateError, match="does not end, or is too large"):
        read(path, '["' + "x" * (1 << 14))
