import json
from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources import json_cursor, json_lines
from server.migrate.sources.json_file import make


def read(path: Path, text: str, **options: str) -> list[Record]:
    path.write_text(text, "utf-8")
    return list(make(str(path), options).records(0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "texts.json"


def test_a_list_of_texts(path: Path) -> None:
    assert read(path, '["a", "b", null, 7]') == [Record(n, str(n), text) for n, text in enumerate(["a", "b", None, 7])]


def test_a_list_of_objects(path: Path) -> None:
    records = read(path, '[{"id": "x", "text": "a", "n": 1}, {"id": 5, "text": "b"}]', metadata_fields="n")
    assert records == [Record(0, "x", "a", {"n": 1}), Record(1, "5", "b")]


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


def test_an_element_without_end_is_refused_before_it_fills_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_cursor, "LARGEST_ELEMENT", 1 << 10)
    monkeypatch.setattr(json_cursor, "BLOCK", 1 << 8)
    with pytest.raises(MigrateError, match="does not end, or is too large"):
        read(path, '["' + "x" * (1 << 14))


ENTRIES = [{"id": "x", "text": "a"}, {"id": 5, "text": "b"}]
DUMPS: dict[str, object] = {
    "data": {"object": "list", "data": ENTRIES, "usage": {"n": [1]}},
    "points": {"result": {"points": ENTRIES, "next_page_offset": None}, "status": "ok", "time": 0.1},
    "vectors": {"vectors": ENTRIES, "namespace": ""},
    "hits": {"took": 3, "hits": {"total": {"value": 2}, "hits": ENTRIES}},
    "table": {"schema": {"fields": [{"name": "text"}]}, "data": ENTRIES},
    "rows": {"features": [{"name": "text"}], "rows": ENTRIES, "num_rows_total": 2},
    "columns": {"text": ["a", "b"], "other": [[1], [2]], "id": ["x", 5]},
    "chroma": {"ids": ["x", "5"], "embeddings": None, "documents": ["a", "b"], "metadatas": [{"n": 1}, None]},
}


@pytest.mark.parametrize("name", DUMPS)
def test_a_dump_s_list_is_read_whatever_stands_around_it(path: Path, name: str) -> None:
    assert read(path, json.dumps(DUMPS[name])) == [Record(0, "x", "a"), Record(1, "5", "b")]
    assert read(path, json.dumps(DUMPS[name], indent=1)) == [Record(0, "x", "a"), Record(1, "5", "b")]


def test_fields_of_nested_objects(path: Path) -> None:
    points = {"result": {"points": [{"id": 1, "payload": {"text": "a", "source": {"page": 3}}, "vector": [0.1]}]}}
    asked = {"text_field": "payload.text", "metadata_fields": "payload.source.page"}
    assert read(path, json.dumps(points), **asked) == [Record(0, "1", "a", {"payload.source.page": 3})]
    hits = {"hits": {"hits": [{"_id": "x", "_source": {"text": "a"}}]}}
    assert read(path, json.dumps(hits), text_field="_source.text", id_field="_id") == [Record(0, "x", "a")]


def test_chroma_s_metadata_goes_along_with_its_document(path: Path) -> None:
    dump = {
        "ids": ["x", "y", "z"],
        "documents": ["a", None, "c"],
        "metadatas": [{"n": 1}, {"text": "b"}, {"text": "d"}],
    }
    first, second, third = read(path, json.dumps(dump), metadata_fields="n,text")
    assert first == Record(0, "x", "a", {"n": 1, "text": "a"})
    assert second == Record(1, "y", "b", {"text": "b"})
    assert "a field text of another value" in str(third.text)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"data": [1], "points": [2]}, r"lists \(data, points\), more than one of which may hold the entries"),
        ({"x": "a", "y": ["b"]}, r"lists \(y\), none of which"),
        ({"doc": ["a", "b"]}, r"lists \(doc\), none of which"),
        ({"id": "x", "text": "a"}, "one object with the field text; put it"),
        (
            {"id": {"0": "x"}, "text": {"0": "a"}},
            "its member text is an object, as pandas writes columns",
        ),
        ({"ids": ["x"], "documents": ["a", "b"]}, "its columns ids, documents are not of one length"),
        ({"id": ["x"], "text": ["a"], "n": ["b"], "m": {}}, None),
    ],
)
def test_an_object_of_another_shape_is_refused_with_what_it_is(path: Path, shape: object, said: str | None) -> None:
    if said is None:
        assert read(path, json.dumps(shape)) == [Record(0, "x", "a")]
        return
    with pytest.raises(MigrateError, match=said):
        read(path, json.dumps(shape))


@pytest.mark.parametrize(
    "columns",
    [{"columns": ["id", "text"], "index": [0], "data": [["x", "a"]]}, {"ids": ["x"], "texts": ["a"]}],
)
def test_a_list_of_texts_or_rows_beside_another_is_not_read_without_it(path: Path, columns: object) -> None:
    with pytest.raises(MigrateError, match="more than one of which may hold the entries"):
        read(path, json.dumps(columns))
    asked = {"text_field": "texts", "id_field": "ids"}
    assert "texts" not in str(columns) or read(path, json.dumps(columns), **asked) == [Record(0, "x", "a")]


def test_a_dump_that_was_cut_short_is_refused(path: Path) -> None:
    whole = json.dumps(DUMPS["points"])
    for cut in range(1, len(whole)):
        with pytest.raises(MigrateError):
            read(path, whole[:cut])


def test_a_key_that_comes_twice_breaks_its_record_and_no_other(path: Path) -> None:
    first, broken, last = read(path, '[{"text": "a"}, {"text": "b", "n": {"k": 1, "k": 2}}, {"text": "c"}]')
    assert (first.text, last.text) == ("a", "c")
    assert "the key 'k' comes twice in one object" in str(broken.text)


def test_an_id_beside_the_key_is_not_dropped(path: Path) -> None:
    text = '{"x": {"id": "y", "text": "a"}, "z": {"id": "z", "text": "b"}, "": "c"}'
    first, second, third = read(path, text)
    assert "stands under the key 'x' and has the id 'y'; say --id-field id" in str(first.text)
    assert second == Record(1, "z", "b")
    assert "empty" in str(third.text)
    assert [record.id for record in read(path, text.replace(', "": "c"', ""), id_field="id")] == ["y", "z"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", ["texts.json", "texts.jsonl"])
def test_what_is_no_number_matters_where_it_is_used_in_json_as_in_json_lines(
    tmp_path: Path, name: str, number: str
) -> None:
    path, maker = tmp_path / name, json_lines.make if name.endswith("l") else make
    entry = f'{{"id": "x", "text": "a", "score": {number}}}'
    path.write_text(entry if name.endswith("l") else f"[{entry}]")
    assert list(maker(str(path), {}).records(0)) == [Record(0, "x", "a")]
    for asked in ({"text_field": "score"}, {"id_field": "score"}):
        (record,) = maker(str(path), asked).records(0)
        assert not isinstance(record.text, str)
    (record,) = maker(str(path), {"metadata_fields": "score"}).records(0)
    if number == "NaN":
        assert record == Record(0, "x", "a")
    else:
        assert "its field score is not a finite number" in str(record.text)


def test_whole_numbers_of_any_size_are_exact(path: Path) -> None:
    huge = "18446744073709551617"
    assert [record.id for record in read(path, f'[{{"id": {huge}, "text": "a"}}]')] == [huge]
