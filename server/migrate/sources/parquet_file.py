"""A Parquet file or a folder of them, read in batches of a few thousand rows."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.sources.fields import Entry, Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.source import Source

ROWS = 2048


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file or folder at `location`; `options` name the columns."""
    fields = Fields.of(options)
    return FileSource(Path(location), fields, partial(_entries, fields=fields))


def _entries(path: Path, fields: Fields) -> Iterator[Entry]:
    arrow = optional.load("pyarrow")
    try:
        with optional.load("pyarrow.parquet").ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(ROWS, columns=fields.columns(file.schema_arrow.names)):
                columns = [_values(arrow, column) for column in batch.columns]
                names = batch.schema.names
                yield from ((None, dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True))
    except arrow.ArrowException as error:
        raise MigrateError(f"{path} cannot be read as Parquet: {error}") from None


def _values(arrow: Any, column: Any) -> list[object]:  # noqa: ANN401 - Arrow's module and array
    try:
        # Arrow silently truncates a time of day to microseconds.
        values: list[object] = list(map(_time, column)) if str(column.type) == "time64[ns]" else column.to_pylist()
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):
        # A time with nanoseconds, or a date after the year 9999: Python has no type for them.
        return [_value(arrow, item) for item in column]
    return values


def _value(arrow: Any, item: Any) -> object:  # noqa: ANN401 - Arrow's module and scalar
    try:
        return _time(item) if str(item.type) == "time64[ns]" else item.as_py()
    except (ValueError, OverflowError):
        return item.cast(arrow.string()).as_py().replace(" ", "T", 1)


def _time(item: Any) -> object:  # noqa: ANN401 - Arrow's scalar
    if item.is_valid and item.value % 1000:
        raise ValueError("nanoseconds")
    return item.as_py()
