"""Comma- or tab-separated values with a line of names first (RFC 4180)."""

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.fields import Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.source import Source
from server.migrate.sources.stream import plain_name, text

LONGEST_FIELD = 1 << 26


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file at `location`; `options` name the fields. Tabs separate in a file named .tsv."""
    return FileSource(Path(location), partial(_records, fields=Fields.of(options)))


def _records(path: Path, fields: Fields) -> Iterator[Record]:
    csv.field_size_limit(LONGEST_FIELD)
    with text(path, newline="") as stream:
        delimiter = "\t" if plain_name(path).endswith(".tsv") else ","
        reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
        try:
            yield from fields.records(reader)
        except csv.Error as error:
            raise MigrateError(f"{path}, after line {reader.line_num}: {error}; check the quotes there") from None
