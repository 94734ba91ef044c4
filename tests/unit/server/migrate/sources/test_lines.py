import gzip
from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.sources import lines
from server.migrate.sources.lines import make
from server.migrate.sources.source import Broken


def test_every_line_is_a_text_an_empty_one_too(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffa\r\n\nb c \nd".encode())
    assert [record.text for record in make(str(path), {}).records(0)] == ["a", "", "b c ", "d"]
    assert [record.text for record in make(str(path), {}).records(3)] == ["d"]


def test_a_line_that_is_no_utf8_is_one_broken_record(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"a\n\xff\nb\n")
    first, broken, last = make(str(path), {}).records(0)
    assert (first.text, last.text) == ("a", "b")
    assert broken.text == Broken("line 2 is not UTF-8: invalid start byte at byte 0")


def test_gzip_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(gzip.compress(b"a\nb\n"))
    assert [record.text for record in make(str(path), {}).records(0)] == ["a", "b"]


def test_gzip_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt.gz"
    path.write_bytes(gzip.compress(b"a\nb\n" * 1000)[:-12])
    with pytest.raises(MigrateError, match=r"texts.txt.gz cannot be decompressed"):
        list(make(str(path), {}).records(0))


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 8)
    (tmp_path / "texts.txt").write_text("a\n" + "b" * 100)
    with pytest.raises(MigrateError, match="line 2 is longer than 8 bytes"):
        list(make(str(tmp_path / "texts.txt"), {}).records(0))


def test_lines_that_end_in_carriage_returns_alone_are_not_one_text(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"a\rb\rc\r")
    (broken,) = make(str(path), {}).records(0)
    assert isinstance(broken.text, Broken)
    assert "line 1 holds a carriage return" in broken.text.reason
