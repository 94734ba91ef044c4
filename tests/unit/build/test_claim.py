"""Builds in a models folder with foreign files do not claim them."""

from pathlib import Path

import pytest

from build.clean import seal
from build.errors import BuildError
from build.workspace import open_workspace
from server.model.staging import OWNER
from tests.unit.server.migrate.sinks.rows import snapshot


@pytest.mark.parametrize("folder", [".scratch-m", ".staging-m"])
def test_a_folder_of_the_name_of_a_working_folder_is_not_removed(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match=r"holds thesis\.txt and was not made by a build; move it away"):
        build(tmp_path)
    assert (tmp_path / folder / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", [".scratch-m", ".staging-m", ".lock", "m.onnx", "m.json", "m.md"])
def test_links_are_neither_followed_nor_replaced(tmp_path: Path, name: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / OWNER).touch()
    (theirs / "COMMIT").touch()
    (theirs / "thesis.txt").write_text("years of work")
    models = tmp_path / "models"
    models.mkdir()
    (models / name).symlink_to(theirs if name.startswith(".s") else theirs / "thesis.txt")
    before = snapshot(theirs)
    with pytest.raises((BuildError, OSError), match="move it away"):
        build(models)
    assert snapshot(theirs) == before
    assert (models / name).is_symlink()


@pytest.mark.parametrize("name", ["m.onnx", "m.int8.onnx", "m.onnx.data", "m.json", "m.tokenizer.json"])
def test_a_file_that_no_manifest_lists_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": true}')
    with pytest.raises(BuildError, match=f"{name} is not in the manifest of a build .* move it away"):
        build(tmp_path)
    assert (tmp_path / name).read_text() == '{"mine": true}'


@pytest.mark.parametrize("change", ["", "more", "A title\n" + seal("# Another\n"), seal("# m\n").lower()])
def test_a_page_that_is_no_card_as_a_build_wrote_it_is_not_replaced(tmp_path: Path, change: str) -> None:
    (tmp_path / "m.md").write_text(f"# m\n{change}")
    with pytest.raises(BuildError, match=r"m\.md is no card that a build wrote, or was changed since.* move it away"):
        build(tmp_path)
    assert (tmp_path / "m.md").read_text() == f"# m\n{change}"


def test_a_card_that_a_build_wrote_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "m.md").write_text("# m\n" + seal("# m\n"))
    with open_workspace(tmp_path, "m") as space:
        (space.staged / "m.md").write_text("new")
        space.commit()
    assert snapshot(tmp_path) == {"m.md": b"new", ".lock": b""}


def test_a_file_that_came_while_it_was_built_is_not_replaced(tmp_path: Path) -> None:
    with open_workspace(tmp_path, "m") as space:
        (space.staged / "m.onnx").write_text("new")
        (tmp_path / "m.onnx").write_text("mine")
        with pytest.raises(BuildError, match="move it away"):
            space.commit()
    assert snapshot(tmp_path) == {"m.onnx": b"mine", ".lock": b""}


def test_what_a_killed_build_left_is_removed(tmp_path: Path) -> None:
    for folder in (tmp_path / ".scratch-m", tmp_path / ".staging-m"):
        folder.mkdir()
        (folder / OWNER).touch()
        (folder / "half.onnx").write_text("x")
    build(tmp_path)
    assert snapshot(tmp_path) == {".lock": b"", "m.onnx": b"new"}


def build(models: Path) -> None:
    with open_workspace(models, "m") as space:
        (space.staged / "m.onnx").write_text("new")
        space.commit()
