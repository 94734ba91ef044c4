from pathlib import Path

from server.migrate.sources.folder import make
from server.migrate.sources.source import Broken


def fill(folder: Path) -> Path:
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "two.txt").write_text("2")
    (folder / "a.txt").write_text("1")
    (folder / "c.txt").write_text("3")
    (folder / ".hidden").write_text("x")
    return folder


def test_files_in_the_order_of_their_names_with_their_paths_as_ids(tmp_path: Path) -> None:
    source = make(str(fill(tmp_path / "texts")), {})
    found = [(record.ordinal, record.id, record.text) for record in source.records(0)]
    assert found == [(0, "a.txt", "1"), (1, "b/two.txt", "2"), (2, "c.txt", "3")]
    assert [record.id for record in source.records(2)] == ["c.txt"]
    assert source.count() == 3


def test_another_content_or_name_is_another_input(tmp_path: Path) -> None:
    folder = fill(tmp_path / "texts")
    first = make(str(folder), {}).identity()
    assert make(str(folder), {}).identity() == first
    (folder / "a.txt").rename(folder / "a2.txt")
    second = make(str(folder), {}).identity()
    (folder / "a2.txt").write_text("7")
    assert len({first, second, make(str(folder), {}).identity()}) == 3


def test_a_file_that_is_no_utf8_is_one_broken_record(tmp_path: Path) -> None:
    folder = fill(tmp_path / "texts")
    (folder / "a.txt").write_bytes(b"\xff")
    broken, *rest = make(str(folder), {}).records(0)
    assert isinstance(broken.text, Broken)
    assert len(rest) == 2
