"""Installs a finished build into the models folder: files are staged, committed by a marker file, then renamed.

The build stage writes every file of a model to `models/.staging-<name>/`, flushes them and creates COMMIT there, with a
line for each file that only the model before had. From then on the build is complete, and any process may complete the
renames and remove those files. Without COMMIT the folder belongs to a build
that is running or was killed, and the installed models are untouched.
"""

import os
from contextlib import suppress
from pathlib import Path

PREFIX = ".staging-"
MARKER = "COMMIT"
# Created first and removed last: identifies the folder as created by a build.
OWNER = ".made-by-build"


def staging_folder(models_dir: Path, name: str) -> Path:
    """Return the staging folder for builds of the model `name`."""
    return models_dir / f"{PREFIX}{name}"


def is_committed(staging: Path) -> bool:
    """Return whether a staged build is complete except for the renames."""
    return not staging.is_symlink() and (staging / MARKER).is_file()


def commit_staged(models_dir: Path, staging: Path) -> None:
    """Move a committed build into `models_dir` and remove what it replaces; idempotent, and safe in several processes.

    Files move in sorted order with the manifest last, so that the new manifest never precedes its files. Does nothing
    without COMMIT.

    Raises:
        OSError: the folder cannot be written.
    """
    if not is_committed(staging):
        return
    obsolete = _obsolete(staging)
    for source in _in_commit_order(staging):
        with suppress(FileNotFoundError):  # another process that completes the same commit was faster
            source.rename(models_dir / source.name)
    for file in obsolete:
        (models_dir / file).unlink(missing_ok=True)
    flush(models_dir)
    (staging / MARKER).unlink(missing_ok=True)
    (staging / OWNER).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        staging.rmdir()


def _in_commit_order(staging: Path) -> list[Path]:
    manifest = f"{staging.name.removeprefix(PREFIX)}.json"
    files = [path for path in staging.iterdir() if path.name not in (MARKER, OWNER)]
    return sorted(files, key=lambda path: (path.name == manifest, path.name))


def _obsolete(staging: Path) -> list[str]:
    try:
        listed = (staging / MARKER).read_text("utf-8").splitlines()
    except FileNotFoundError:  # another process has completed the commit
        return []
    own = f"{staging.name.removeprefix(PREFIX)}."
    # Whatever a manifest said, no file of another model.
    return [file for file in listed if file.startswith(own) and Path(file).name == file]


def flush(path: Path) -> None:
    """Flush a file's or folder's changes to disk (fsync).

    Raises:
        OSError: it failed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
