"""The mark `job.json`, which identifies a folder as created by this program and records the job it belongs to."""

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
    """The owner of a folder: the job's id, its output and journal, and the file names allowed in the folder.

    `made` and `names` record what the job created elsewhere (`Made`).
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
    """Read the mark of a folder; None if it has none.

    Raises:
        MigrateError: a file of that name was not written by this program, or by another version of it.
        OSError: it cannot be read.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    owned_files.check(path)
    try:
        mark = msgspec.json.decode(path.read_bytes(), type=Mark)
    except ValueError:
        mark = None
    if mark is None or mark.magic != MAGIC:
        raise MigrateError(f"{path} is not of this program, so {folder} is not used; choose another folder")
    if mark.version != VERSION:
        raise MigrateError(f"{path} is of version {mark.version}, this program knows {VERSION}; use that program")
    return mark


def write(folder: Path, mark: Mark) -> None:
    """Write the mark of a folder atomically.

    Raises:
        MigrateError: a path in it is not valid UTF-8.
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
    """Return the names in a folder other than its mark and the files `known`, sorted.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(set(os.listdir(folder)) - {NAME, FRESH, *known})  # noqa: PTH208 - names, not paths
