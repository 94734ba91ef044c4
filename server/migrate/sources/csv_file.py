"""Comma- or tab-separated values with a header line (RFC 4180)."""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from server.migrate.errors import MigrateError
from server.migrate.sources.fields import Entry, Fields, check_names
from server.migrate.sources.file import FileSource
from server.migrate.sources.source import Broken, Source
from server.migrate.sources.stream import plain_name, text

LONGEST_FIELD = 1 << 26
# Other delimiters: spreadsheets use `;` where the comma is the decimal separator, databases export tabs or `|`.
OTHERS = (";", "\t", "|")
QUOTED = re.compile(r'"[^"]*"')


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file at `location`; `options` name the fields."""
    return FileSource(Path(location), Fields.of(options), _entries)


def _entries(path: Path) -> Iterator[Entry]:
    csv.field_size_limit(LONGEST_FIELD)
    with text(path, newline="") as stream:
        reader = csv.reader(stream, delimiter=_delimiter(path), strict=True)
        yield from ((None, entry) for entry in _rows(path, reader))


def _rows(path: Path, reader: Any) -> Iterator[dict[str, str] | Broken]:  # noqa: ANN401 - it has no public type
    done = 0
    try:
        names: list[str] = next(filter(None, reader), [])
        check_names(names)
        done = reader.line_num
        for cells in reader:
            if len(cells) == len(names):
                yield dict(zip(names, cells, strict=True))
            elif cells:  # a blank line is not a row
                yield _uneven(done + 1, len(cells), len(names))
            done = reader.line_num
    except csv.Error as error:
        raise MigrateError(f"{path}, after line {done}: {error}; check the quotes there") from None


def _uneven(line: int, cells: int, names: int) -> Broken:
    return Broken(
        f"line {line} has {cells} cells where the first line names {names}; "
        "a text with a separator or a quote in it must stand in quotes"
    )


def _delimiter(path: Path) -> str:
    """Detect the delimiter: a tab in a .tsv, else a comma, or one of OTHERS if the header has it and no comma."""
    if plain_name(path).endswith(".tsv"):
        return "\t"
    with text(path, newline="") as stream:
        names = QUOTED.sub("", stream.readline(LONGEST_FIELD))
    return next((other for other in OTHERS if other in names and "," not in names), ",")
