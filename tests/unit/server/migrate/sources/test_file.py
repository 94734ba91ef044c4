from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.sources.lines import make


def test_another_content_is_another_input(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a\n")
    first = make(str(path), {}).identity()
    path.write_text("b\n")
    assert make(str(path), {}).identity() != first


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a\nb\n")
    source = make(str(path), {})
    source.identity()
    records = source.records(0)
    next(records)
    path.write_text("a\nb\nc\n")
    with pytest.raises(MigrateError, match="changed while it was read"):
        list(records)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrateError, match=r"texts.txt cannot be read: No such file"):
        make(str(tmp_path / "texts.txt"), {}).identity()
