from pathlib import Path

import pytest

from bench import cached


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "made"
    with cached.folder(target) as staged:
        (staged / "file").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["file"]
    assert [path.name for path in target.parent.iterdir()] == ["made"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with pytest.raises(IsADirectoryError), cached.folder(target) as staged:
        staged.write_text("a folder is no file")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".made.partial"
    left.mkdir()
    (left / "half").write_text("x")
    with cached.folder(tmp_path / "made") as staged:
        assert list(staged.iterdir()) == []
