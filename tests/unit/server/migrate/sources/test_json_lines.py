from pathlib import Path

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
