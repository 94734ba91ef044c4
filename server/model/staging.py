"""How a finished build enters the models folder: staged beside it, committed by one marker, then renamed in.

The build stage writes every file of a model into `models/.staging-<name>/`, makes them durable and creates COMMIT
there. From that moment the build is complete: whoever comes next may finish the renames. Before it, the folder
is a build in progress or a dead one, and nothing touches the models that serve.
"""

import os
from contextlib import suppress
from pathlib import Path

PREFIX = ".staging-"
MARKER = "COMMIT"
# Made first and removed last: by this file a folder is known as a build's own.
OWNER = ".made-by-build"


def staging_folder(models_dir: Path, name: str) -> Path:
    """Return where the build of model `name` is staged."""
    return models_dir / f"{PREFIX}{name}"


def is_committed(staging: Path) -> bool:
    """Tell whether a staged build is complete and only its renames are left."""
    return not staging.is_symlink() and (staging / MARKER).is_file()


def commit_staged(models_dir: Path, staging: Path) -> None:
    """Move a committed build into `models_dir`; may be repeated, and run by several processes at once.

    Files move in sorted order and the manifest last, so that an old manifest never describes a new file as valid.
    Without COMMIT nothing is done.

    Raises:
        OSError: the folder cannot be written.
    """
    if not is_committed(staging):
        return
    for source in _in_commit_order(staging):
        with suppress(FileNotFoundError):  # another process finishing the same commit got here first
            source.rename(models_dir / source.name)
    flush(models_dir)
    (staging / MARKER).unlink(missing_ok=True)
    (staging / OWNER).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        staging.rmdir()


def _in_commit_order(staging: Path) -> list[Path]:
    manifest = f"{staging.name.removeprefix(PREFIX)}.json"
    files = [path for path in staging.iterdir() if path.name not in (MARKER, OWNER)]
    return sorted(files, key=lambda path: (path.name == manifest, path.name))


def flush(path: Path) -> None:
    """Have the system write a file's or folder's changes to disk.

    Raises:
        OSError: it could not.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
