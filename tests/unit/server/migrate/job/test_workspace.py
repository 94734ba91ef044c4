import os
from pathlib import Path

import pytest

from server.migrate.errors import MigrateError
from server.migrate.job.workspace import JobWorkspace


def test_a_second_run_is_kept_out_and_told_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    said = f"running already, as process {os.getpid()}"
    with JobWorkspace(folder).lock(), pytest.raises(MigrateError, match=said), JobWorkspace(folder).lock():
        pass
    with JobWorkspace(folder).lock():
        pass


def test_clearing_leaves_nothing_but_the_lock_and_the_mark(tmp_path: Path) -> None:
    workspace = JobWorkspace(tmp_path / "job")
    with workspace.lock():
        workspace.journal.write_text("x")
        workspace.memo.write_text("x")
        workspace.clear()
        assert {path.name for path in workspace.folder.iterdir()} == {"lock", "job.json"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MigrateError, match="set --journal"), JobWorkspace(tmp_path / "file" / "job").lock():
        pass
