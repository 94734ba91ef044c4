"""Where a build works: a lock, a scratch folder and a staging folder inside `models/`, cleaned up whatever happens.

Nothing that a running server may read is touched before every new file is complete and on disk.
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
    """Folders of one build: `scratch` for what is thrown away, `staged` for what is kept."""

    models_dir: Path
    scratch: Path
    staged: Path

    def commit(self) -> None:
        """Flush what is staged to disk and move it into the models folder; the earlier build's other files are removed.

        Killed before this, the old models serve on; killed during it, whoever comes next ends it.
        """
        name = self.staged.name.removeprefix(PREFIX)
        claim.check_files(self.models_dir, name)
        replaced = {path.name for path in self.staged.iterdir()}
        obsolete = claim.listed(self.models_dir / f"{name}.json") - replaced
        for path in [*sorted(self.staged.iterdir()), self.staged]:
            flush(path)
        (self.staged / MARKER).touch()
        flush(self.staged)
        commit_staged(self.models_dir, self.staged)
        for file in obsolete:
            if file.startswith(f"{name}."):  # Whatever a manifest says, no file of another model.
                (self.models_dir / file).unlink(missing_ok=True)


@contextmanager
def open_workspace(models_dir: Path, name: str) -> Iterator[Workspace]:
    """Hold the models folder for one build.

    Raises:
        BuildError: another build runs, or the folder cannot be written.
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
                # A build killed before this leaves them behind; the next one clears them above.
                with suppress(OSError):
                    claim.remove(space.scratch)
                # Once committed, the staged files are the model: half of them may be in place already.
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
