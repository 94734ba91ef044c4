"""A Parquet file, a few thousand rows in memory at a time."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from server.migrate import extra
from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.fields import ID, Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.source import Source

ROWS = 2048


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file at `location`; `options` name the columns."""
    return FileSource(Path(location), partial(_records, fields=Fields.of(options)))


def _records(path: Path, fields: Fields) -> Iterator[Record]:
    arrow = extra.load("pyarrow")
    try:
        with extra.load("pyarrow.parquet").ParquetFile(path) as file:
            wanted = {fields.text, fields.id or ID, *fields.metadata}
            columns = [name for name in file.schema_arrow.names if name in wanted]
            rows = (row for batch in file.iter_batches(ROWS, columns=columns) for row in batch.to_pylist())
            yield from fields.records(rows)
    except arrow.ArrowException as error:
        raise MigrateError(f"{path} cannot be read as Parquet: {error}") from None
