"""Reads the rows of a PostgreSQL table."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.fields import Fields
from server.migrate.sources.source import Broken, Source
from server.migrate.sources.store_entry import beside, described, record
from server.migrate.stores.address import Address
from server.migrate.stores.pgvector.address import FORM
from server.migrate.stores.pgvector.open import PgTable

METADATA = "metadata"


def make(location: str, options: Mapping[str, str]) -> Source:
    """Read `postgresql://USER@HOST:PORT/DATABASE#TABLE`; fields are columns, or keys of a JSON column `metadata`."""
    return PgvectorSource(FORM.parse(location), Fields.of(options))


class PgvectorSource:
    """Implements `Source`. The order is that of the id column (`--id-field`, or `id`), which should have an index."""

    def __init__(self, where: Address, fields: Fields) -> None:
        self._address = where
        # The id column is passed on as the store's own id.
        self._fields = replace(fields, id="")
        self._table = PgTable(where, fields.id)

    def identity(self) -> str:
        """Return the address without secrets, and a digest of all rows; this reads the whole table."""
        return f"{self._address}, {described(replace(self._fields, id=self._table.id_column), self.records(0))}"

    def count(self) -> int:
        """Count the rows."""
        return self._table.count()

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on, in one transaction.

        Raises:
            MigrateError: there is no such table, or it has no id column.
        """
        names = self._columns()
        for ordinal, (id_, *values) in enumerate(self._table.stream(names, start), start):
            entry = dict(zip(names, values, strict=True))
            spread = entry.pop(METADATA) if isinstance(entry.get(METADATA), dict) else {}
            whole = (
                beside(entry, spread, self._fields)
                if id_
                else Broken(f"its id (column {self._table.id_column}) is null or empty")
            )
            yield record(self._fields, ordinal, whole, id_)

    def close(self) -> None:
        """Close the connection."""
        self._table.close()

    def _columns(self) -> list[str]:
        columns = self._table.columns()
        if self._table.id_column not in columns:
            names = ", ".join(columns) or "no such table"
            raise MigrateError(f"{self._address} has no column {self._table.id_column} ({names}); say --id-field")
        others = {*self._table.vector_columns(), self._table.id_column}
        return [name for name in columns if name not in others]
