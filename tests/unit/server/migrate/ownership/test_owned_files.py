import os
from pathlib import Path

import pytest

from server.migrate.ownership import owned_files


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "theirs"
    path.write_text("theirs")
    return path


@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
def test_no_link_is_written_through_and_none_removed(theirs: Path, plant: object) -> None:
    link = theirs.with_name("mine")
    plant(link, theirs)  # type: ignore[operator]
    calls = (
        lambda: owned_files.create(link),
        lambda: owned_files.reopen(link),
        lambda: owned_files.open_or_create(link),
        lambda: owned_files.remove(link),
    )
    for call in calls:
        with pytest.raises(FileExistsError):
            call()
    assert theirs.read_text() == "theirs"
    assert os.path.lexists(link)


def test_a_link_that_leads_nowhere_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        owned_files.open_or_create(tmp_path / "mine")
    assert not (tmp_path / "nowhere").exists()


def test_a_fifo_is_told_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="is no regular file"):
        owned_files.open_or_create(tmp_path / "mine")


def test_content_is_put_whole_over_what_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / "mine.new").write_text("ha")
    owned_files.put(tmp_path / "mine", b"whole")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"mine": b"whole"}


@pytest.mark.parametrize("name", ["mine", "mine.new"])
def test_content_is_never_put_through_a_link(theirs: Path, name: str) -> None:
    (theirs.parent / name).symlink_to(theirs)
    if name == "mine.new":
        with pytest.raises(FileExistsError):
            owned_files.put(theirs.with_name("mine"), b"whole")
    else:
        owned_files.put(theirs.with_name("mine"), b"whole")
    assert theirs.read_text() == "theirs"
