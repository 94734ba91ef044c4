"""The mark by which a folder is known as one that this program made: `job.json`, and nothing else makes it ours."""

import os
from pathlib import Path

import msgspec

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files
from server.migrate.ownership.made_files import Identity

NAME = "job.json"
FRESH = f"{NAME}.new"
MAGIC = "embedding-service migration"
VERSION = 1


class Mark(msgspec.Struct):
    """Whose folder it is: the job by its id, what it writes to, where its journal is, and what may be in the folder.

    `made` and `names` are what the job made elsewhere (`Made`).
    """

    magic: str
    version: int
    job: str
    output: str
    journal: str
    files: list[str]
    made: dict[str, list[Identity]] = {}
    names: list[str] = []


def read(folder: Path) -> Mark | None:
    """Read the mark of a folder; None where it has none.

    Raises:
        MigrateError: a file of that name is there that this program did not write, or a newer version of it.
        OSError: it cannot be read.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    owned_files.check(path)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Mark)
    except ValueError:
        found = None
    if found is None or found.magic != MAGIC:
        raise MigrateError(f"{path} is not of this program, so {folder} is not used; choose another folder")
    if found.version != VERSION:
        raise MigrateError(f"{path} is of version {found.version}, this program knows {VERSION}; use that program")
    return found


def write(folder: Path, mark: Mark) -> None:
    """Write the mark of a folder, whole or not at all.

    Raises:
        MigrateError: a path in it cannot be kept.
        OSError: it could not be written.
    """
    try:
        encoded = msgspec.json.format(msgspec.json.encode(mark))
    except UnicodeEncodeError:
        raise MigrateError(
            f"a path is not read as UTF-8 ({mark.output!a}, {mark.journal!a}); rename it, or set a UTF-8 locale or "
            "PYTHONUTF8=1"
        ) from None
    owned_files.put(folder / NAME, encoded + b"\n")


def strangers(folder: Path, known: list[str]) -> list[str]:
    """Name what is in a folder beside its mark and the files `known`, in order.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(set(os.listdir(folder)) - {NAME, FRESH, *known})  # noqa: PTH208 - names, not paths
