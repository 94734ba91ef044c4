from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.json_lines import make
from server.migrate.sources.source import Broken


def test_a_value_a_line_blank_lines_left_out(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"id": "x", "text": "a"}\n\n"b"\r\nnull')
    assert list(make(str(path), {}).records(0)) == [Record(0, "x", "a"), Record(1, "1", "b"), Record(2, "2", None)]


def test_a_line_that_is_no_json_is_one_broken_record(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('"a"\n{"text": \n"b"\n')
    first, broken, last = make(str(path), {}).records(0)
    assert (first.text, last.text) == ("a", "b")
    assert isinstance(broken.text, Broken)
    assert "line 2 is not JSON" in broken.text.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "b"}{"text": "c"}', "line 2 is not one JSON value: another begins at character 14"),
        ('{"text": "b"} // c', "line 2 is not one JSON value: another begins at character 14"),
        ('"b"\r"c"', "line 2 is not one JSON value"),
        ('{"text": "b", "text": "c"}', "line 2: the key 'text' comes twice in one object"),
        ('{"text": "b", "m": [{"k": 1, "k": 2}]}', "line 2: the key 'k' comes twice in one object"),
        ("7" * 5000, "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("\ufeff{}", "line 2 is not JSON"),
    ],
)
def test_what_is_not_one_value_with_every_key_once_is_one_broken_record(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(f'"a"\n{line}\n"z"\n', newline="")
    first, broken, last = make(str(path), {}).records(0)
    assert (first.text, last.text) == ("a", "z")
    assert isinstance(broken.text, Broken)
    assert reason in broken.text.reason


def test_a_line_that_is_no_utf8_is_one_broken_record(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'"a"\n"\xff"\n')
    _, broken = make(str(path), {}).records(0)
    assert broken.text == Broken("line 2 is not UTF-8: invalid start byte at byte 1")


@pytest.mark.parametrize("content", ['[{"text": "a"}]', '[\n  {"text": "a"}\n]', '{\n  "text": "a"\n}'])
def test_a_json_file_under_another_name_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(content)
    with pytest.raises(MigrateError, match="say --input-format json"):
        list(make(str(path), {}).records(0))
