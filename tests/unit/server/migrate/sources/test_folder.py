from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.sources import folder
from server.migrate.sources.folder import make
from server.migrate.sources.source import Broken


def fill(texts: Path) -> Path:
    (texts / "b").mkdir(parents=True)
    (texts / "b" / "two.txt").write_text("2")
    (texts / "a.txt").write_text("1")
    (texts / "c.txt").write_text("3")
    (texts / ".hidden").write_text("x")
    return texts


def test_files_in_the_order_of_their_names_with_their_paths_as_ids(tmp_path: Path) -> None:
    source = make(str(fill(tmp_path / "texts")), {})
    records = [(record.ordinal, record.id, record.text) for record in source.records(0)]
    assert records == [(0, "a.txt", "1"), (1, "b/two.txt", "2"), (2, "c.txt", "3")]
    assert [record.id for record in source.records(2)] == ["c.txt"]
    assert source.count() == 3


def test_another_content_or_name_is_another_input(tmp_path: Path) -> None:
    texts = fill(tmp_path / "texts")
    first = make(str(texts), {}).identity()
    assert make(str(texts), {}).identity() == first
    (texts / "a.txt").rename(texts / "a2.txt")
    second = make(str(texts), {}).identity()
    (texts / "a2.txt").write_text("7")
    assert len({first, second, make(str(texts), {}).identity()}) == 3


def test_a_file_that_is_no_utf8_is_one_broken_record(tmp_path: Path) -> None:
    texts = fill(tmp_path / "texts")
    (texts / "a.txt").write_bytes(b"\xff")
    broken, *rest = make(str(texts), {}).records(0)
    assert isinstance(broken.text, Broken)
    assert len(rest) == 2


def test_what_is_no_text_is_one_broken_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LARGEST_FILE", 20)
    contents = {"a": "text".encode("utf-16"), "b": b"%PDF-1.7", "c": b"x" * 21, "d": b"x" * 20}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    reasons = [str(record.text) for record in make(str(tmp_path), {}).records(0)]
    for reason, said in zip(reasons, ["UTF-16", "PDF", "larger than 20 bytes", "x" * 20], strict=True):
        assert said in reason


def test_a_link_to_a_folder_is_not_left_out_without_a_word(tmp_path: Path) -> None:
    source = fill(tmp_path / "texts")
    (source / "z").symlink_to(tmp_path)
    with pytest.raises(MigrateError, match=r"texts/z is no file \(a link to a folder"):
        make(str(source), {}).identity()
