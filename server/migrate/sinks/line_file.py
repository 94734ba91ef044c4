"""A file with one line per row, which can be truncated after any row and have its last write replaced."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files

BLOCK = 1 << 20


class LineFile:
    """Lines addressed by place, starting at 0."""

    def __init__(self, path: Path, lines: int) -> None:
        """Open the file at `path` and truncate it after its first `lines` lines.

        Raises:
            MigrateError: it has fewer.
        """
        self._descriptor = owned_files.open_or_create(path)
        offset = _end_of_line(self._descriptor, lines)
        if offset is None:
            os.close(self._descriptor)
            raise MigrateError(f"{path} holds fewer than the {lines} rows on record; run with --restart")
        # Truncating nothing would still change the modification time, which identifies the finished file.
        if os.fstat(self._descriptor).st_size > offset:
            os.ftruncate(self._descriptor, offset)
        self._last = self._end = (lines, offset)

    def write(self, place: int, lines: Sequence[bytes]) -> None:
        """Append the lines of the rows from `place` on, or replace the last write; flush them to disk.

        Raises:
            OSError: they could not be written whole.
            ValueError: `place` is neither the end nor the beginning of the last write.
        """
        start = self._end if place == self._end[0] else self._last
        if place != start[0]:
            raise ValueError(f"row {place} comes when {self._end[0]} are written")
        os.ftruncate(self._descriptor, start[1])
        data = b"".join(lines)
        if os.pwrite(self._descriptor, data, start[1]) != len(data):
            raise OSError("not all rows could be written; free space on the disk")
        os.fsync(self._descriptor)
        self._last, self._end = start, (place + len(lines), start[1] + len(data))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def count(path: Path) -> int:
    """Count the lines of a file."""
    with path.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(BLOCK), b""))


def pick(path: Path, places: Mapping[int, str]) -> Iterator[tuple[str, bytes]]:
    """Yield the lines at `places`, each with the value that `places` gives for it."""
    last = max(places, default=-1)
    with path.open("rb") as stream:
        yield from ((places[place], line) for place, line in enumerate(islice(stream, last + 1)) if place in places)


def _end_of_line(descriptor: int, lines: int) -> int | None:
    offset = seen = 0
    while seen < lines:
        block = os.pread(descriptor, BLOCK, offset)
        if not block:
            return None
        newlines = block.count(b"\n")
        if seen + newlines >= lines:
            return offset + _end_within(block, lines - seen)
        seen, offset = seen + newlines, offset + len(block)
    return offset


def _end_within(block: bytes, lines: int) -> int:
    end = 0
    for _ in range(lines):
        end = block.index(b"\n", end) + 1
    return end
