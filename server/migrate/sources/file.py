"""A source in one file, whatever its format."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from server.artifact import sha256
from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.stream import reading


class FileSource:
    """Records of a file, read from its beginning each time by what knows the format."""

    def __init__(self, path: Path, read: Callable[[Path], Iterator[Record]]) -> None:
        """Take records of `path` from `read`, which yields all of them from ordinal 0."""
        self._path = path
        self._read = read
        self._state: tuple[int, int, int] | None = None

    def identity(self) -> str:
        """Return path, size and SHA-256 of the file.

        Raises:
            MigrateError: it cannot be read.
        """
        with reading(self._path):
            self._state = _state(self._path)
            return f"{self._path.resolve()}, {self._state[0]} bytes, SHA-256 {sha256(self._path)}"

    def count(self) -> int:
        """Read the whole file once: a mistake near its end shows before hours of work, not after.

        Raises:
            MigrateError: it cannot be read.
        """
        return sum(1 for _ in self.records(0))

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on.

        Raises:
            MigrateError: the file cannot be read, or is another one since `identity` looked at it.
        """
        with reading(self._path):
            yield from islice(self._read(self._path), start, None)
            if self._state and _state(self._path) != self._state:
                raise MigrateError(f"{self._path} changed while it was read; run again with --restart")

    def close(self) -> None:
        """Nothing stays open between records."""


def _state(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116 - the times in nanoseconds, in one call
    return status.st_size, status.st_mtime_ns, status.st_ino
