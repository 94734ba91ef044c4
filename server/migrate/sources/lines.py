"""Plain text, one text per line."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.sources.fields import Entry, Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.source import Broken, Source
from server.migrate.sources.stream import characters

LONGEST_LINE = 1 << 26
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def make(location: str, _options: Mapping[str, str]) -> Source:
    """Open the file at `location`; a line has no fields."""
    return FileSource(Path(location), Fields(), _entries)


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their line ends.

    Raises:
        MigrateError: it cannot be read, or a line is longer than LONGEST_LINE bytes.
    """
    with characters(path) as stream:
        if stream.peek(3)[:3] == BYTE_ORDER_MARK:  # type: ignore[attr-defined]  # all that it opens can
            stream.read(3)
        number = 0
        while line := stream.readline(LONGEST_LINE):
            number += 1
            if len(line) == LONGEST_LINE:
                raise MigrateError(f"{path}: line {number} is longer than {LONGEST_LINE} bytes; is it one text a line?")
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def _entries(path: Path) -> Iterator[Entry]:
    for number, line in enumerate(lines(path), 1):
        yield None, _decode(number, line)


def _decode(number: int, line: bytes) -> str | Broken:
    if b"\r" in line:
        # A file with only carriage returns as line ends would be read as one long text and truncated.
        return Broken(f"line {number} holds a carriage return: end lines with a line feed, as with tr '\\r' '\\n'")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return Broken(f"line {number} is not UTF-8: {error.reason} at byte {error.start}")
