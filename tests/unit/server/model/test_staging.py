from pathlib import Path

import pytest

from server.model import staging

FILES = ("m.onnx", "m.json", "m.tokenizer.json")


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = staging.staging_folder(tmp_path, "m")
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(f"new {name}")
    (tmp_path / "m.onnx").write_text("old m.onnx")
    return folder


def commit(folder: Path) -> None:
    (folder / staging.MARKER).touch()
    staging.commit_staged(folder.parent, folder)


def test_a_committed_build_replaces_the_old_one_and_leaves_nothing(staged: Path) -> None:
    commit(staged)
    assert not staged.exists()
    assert {path.name: path.read_text() for path in staged.parent.iterdir()} == {name: f"new {name}" for name in FILES}


def test_an_unfinished_build_touches_nothing(staged: Path) -> None:
    staging.commit_staged(staged.parent, staged)
    assert (staged.parent / "m.onnx").read_text() == "old m.onnx"
    assert (staged / "m.json").exists()


@pytest.mark.parametrize("killed_after", range(len(FILES)))
def test_a_commit_killed_between_renames_is_finished_by_the_next(
    staged: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    moved: list[str] = []
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if len(moved) == killed_after:
            raise KeyboardInterrupt
        moved.append(self.name)
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            commit(staged)
    assert "m.json" not in moved
    staging.commit_staged(staged.parent, staged)
    assert sorted(path.name for path in staged.parent.iterdir()) == sorted(FILES)


def test_files_that_only_the_old_model_had_go_with_the_commit_whoever_finishes_it(staged: Path) -> None:
    kept = [staged.parent / name for name in ("other.onnx", "m2.onnx", "mine.txt")]
    for path in [staged.parent / "m.fp16.onnx", *kept]:
        path.touch()
    listed = ["m.fp16.onnx", "m.gone.onnx", "other.onnx", "m2.onnx", "../mine.txt", "m./../mine.txt"]
    (staged / staging.MARKER).write_text("\n".join(listed))
    staging.commit_staged(staged.parent, staged)
    assert sorted(path.name for path in staged.parent.iterdir()) == sorted([*FILES, *(path.name for path in kept)])


def test_a_second_commit_does_nothing(staged: Path) -> None:
    commit(staged)
    staging.commit_staged(staged.parent, staged)
    assert (staged.parent / "m.json").read_text() == "new m.json"
