"""A file of one line a row, which can be cut back to any row and have its last write replaced."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files

BLOCK = 1 << 20


class LineFile:
    """Lines by place, the first at place 0."""

    def __init__(self, path: Path, lines: int) -> None:
        """Open the file at `path` with its first `lines` lines; what comes after them is cut off.

        Raises:
            MigrateError: it holds fewer.
        """
        self._descriptor = owned_files.open_or_create(path)
        offset = _end_of_line(self._descriptor, lines)
        if offset is None:
            os.close(self._descriptor)
            raise MigrateError(f"{path} holds fewer than the {lines} rows on record; run with --restart")
        # Cutting nothing off would still change the time by which the finished file is known.
        if os.fstat(self._descriptor).st_size > offset:
            os.ftruncate(self._descriptor, offset)
        self._last = self._end = (lines, offset)

    def write(self, place: int, lines: Sequence[bytes]) -> None:
        """Write the lines of the rows from `place` on, for good: after the last ones, or in their stead.

        Raises:
            OSError: they could not be written whole.
            ValueError: rows between are missing.
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
        """Let go of the file."""
        os.close(self._descriptor)


def count(path: Path) -> int:
    """Count the lines of a file."""
    with path.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(BLOCK), b""))


def pick(path: Path, places: Mapping[int, str]) -> Iterator[tuple[str, bytes]]:
    """Yield the lines at `places`, each with what stands for it there."""
    last = max(places, default=-1)
    with path.open("rb") as stream:
        yield from ((places[place], line) for place, line in enumerate(islice(stream, last + 1)) if place in places)


def _end_of_line(descriptor: int, lines: int) -> int | None:
    offset = seen = 0
    while seen < lines:
        block = os.pread(descriptor, BLOCK, offset)
        if not block:
            return None
        here = block.count(b"\n")
        if seen + here >= lines:
            return offset + _end_within(block, lines - seen)
        seen, offset = seen + here, offset + len(block)
    return offset


def _end_within(block: bytes, lines: int) -> int:
    end = 0
    for _ in range(lines):
        end = block.index(b"\n", end) + 1
    return end
