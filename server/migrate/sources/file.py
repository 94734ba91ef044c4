"""A source in one file, or in a folder of files of the same format; independent of the format."""

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.fields import Entry, Fields
from server.migrate.sources.stream import reading
from server.model.artifact import sha256

# Spark and similar tools write marker files among the parts: _SUCCESS, _metadata, .part-0.crc.
UNSEEN = (".", "_")

State = tuple[int, int, int]


class FileSource:
    """The records of a file, which is read from its beginning each time by a reader for its format."""

    def __init__(self, path: Path, fields: Fields, read: Callable[[Path], Iterator[Entry]]) -> None:
        """Read `path`, or each file in that folder in order of name, with `read`; `fields` makes records of entries."""
        self._path = path
        self._fields = fields
        self._read = read
        self._state: list[State] | None = None

    def identity(self) -> str:
        """Return path, size and SHA-256 of the file; for a folder, the number of files and one SHA-256 over all.

        Raises:
            MigrateError: it cannot be read.
        """
        paths = self._paths()
        self._state = _states(paths)
        size = sum(state[0] for state in self._state)
        if not self._path.is_dir():
            return f"{self._path.resolve()}, {size} bytes, SHA-256 {_sha256(self._path)}"
        return f"{self._path.resolve()}, {len(paths)} files, SHA-256 {digest(self._path, paths)}"

    def count(self) -> int:
        """Count the records by reading the whole input, so that an error near its end shows before hours of work.

        Raises:
            MigrateError: it cannot be read.
        """
        return sum(1 for _ in self.records(0))

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on.

        Raises:
            MigrateError: a file cannot be read, or has changed since `identity` was called.
        """
        paths = self._paths()
        yield from islice(self._fields.records(entry for path in paths for entry in self._entries(path)), start, None)
        if self._state and _states(self._paths()) != self._state:
            raise MigrateError(f"{self._path} changed while it was read; run again with --restart")

    def close(self) -> None:
        """Nothing stays open between records."""

    def _entries(self, path: Path) -> Iterator[Entry]:
        with reading(path):
            yield from self._read(path)

    def _paths(self) -> list[Path]:
        return list(files(self._path)) if self._path.is_dir() else [self._path]


def files(folder: Path, unseen: tuple[str, ...] = UNSEEN) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders in order of name, without names that begin with one of `unseen`.

    Raises:
        MigrateError: one cannot be read, or is neither a file nor a folder.
    """
    with reading(folder):
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith(unseen))
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            yield from files(path, unseen)
        elif path.is_file():
            yield path
        else:
            raise MigrateError(
                f"{path} is no file (a link to a folder, or to nothing); remove it, or copy what is meant"
            )


def digest(folder: Path, paths: list[Path]) -> str:
    """Return a SHA-256 over the names of `paths` in `folder` and the files' contents.

    Raises:
        MigrateError: one cannot be read.
    """
    whole = hashlib.sha256()
    for path in paths:
        name = path.relative_to(folder).as_posix()
        whole.update(f"{name}\0{_sha256(path)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _sha256(path: Path) -> str:
    with reading(path):
        return sha256(path)


def _states(paths: list[Path]) -> list[State]:
    return [_state(path) for path in paths]


def _state(path: Path) -> State:
    with reading(path):
        status = os.stat(path)  # noqa: PTH116 - the times in nanoseconds, in one call
    return status.st_size, status.st_mtime_ns, status.st_ino
