"""One JSON value a line: a text, or an object with the fields."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import orjson

from server.migrate.record import Record
from server.migrate.sources.fields import Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.lines import lines
from server.migrate.sources.source import Broken, Source


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file at `location`; `options` name the fields."""
    return FileSource(Path(location), partial(_records, fields=Fields.of(options)))


def _records(path: Path, fields: Fields) -> Iterator[Record]:
    # Blank lines are no records, as in other readers of this format.
    filled = ((number, line) for number, line in enumerate(lines(path), 1) if line.strip())
    yield from fields.records(_decode(number, line) for number, line in filled)


def _decode(number: int, line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Broken(f"line {number} is not JSON: {error}")
