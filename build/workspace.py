"""A build's lock, scratch folder and staging folder inside `models/`, removed on exit.

Files that a running server may read are replaced only after all new files are complete and flushed to disk.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from build import claim
from build.errors import BuildError
from server.migrate.ownership import owned_files
from server.model.staging import MARKER, PREFIX, commit_staged, flush, is_committed, staging_folder


@dataclass(frozen=True)
class Workspace:
    """Folders of one build: `scratch` for temporary files, `staged` for the model's new files."""

    models_dir: Path
    scratch: Path
    staged: Path

    def commit(self) -> None:
        """Flush the staged files to disk, move them into the models folder, and remove obsolete files.

        A build killed before this leaves the old model in place; one killed during it is completed by the next build
        or server start.
        """
        name = self.staged.name.removeprefix(PREFIX)
        claim.check_files(self.models_dir, name)
        replaced = {path.name for path in self.staged.iterdir()}
        obsolete = claim.listed(self.models_dir / f"{name}.json") - replaced
        for path in [*sorted(self.staged.iterdir()), self.staged]:
            flush(path)
        owned_files.put(self.staged / MARKER, "\n".join(sorted(obsolete)).encode())
        commit_staged(self.models_dir, self.staged)


@contextmanager
def open_workspace(models_dir: Path, name: str) -> Iterator[Workspace]:
    """Lock the models folder for one build.

    Raises:
        BuildError: another build is running, or the folder is not writable.
    """
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _locked(models_dir / ".lock"):
            space = Workspace(models_dir, models_dir / f".scratch-{name}", staging_folder(models_dir, name))
            commit_staged(models_dir, space.staged)
            claim.check_files(models_dir, name)
            claim.fresh(space.scratch)
            claim.fresh(space.staged)
            try:
                yield space
            finally:
                # If the build is killed before this, the next one removes the folders above.
                with suppress(OSError):
                    claim.remove(space.scratch)
                # Once committed, the staged files are the model: some may already have been moved.
                if not is_committed(space.staged):
                    with suppress(OSError):
                        claim.remove(space.staged)
    except PermissionError as error:
        raise BuildError(f"{models_dir} cannot be written: {error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = owned_files.open_or_create(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BuildError(f"another build is writing to {path.parent}: wait for it, or stop it") from None
    finally:
        os.close(descriptor)
