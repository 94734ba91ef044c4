"""Reads the payloads of a Qdrant collection."""

from collections.abc import Iterator, Mapping
from itertools import islice

from server.migrate.record import Record
from server.migrate.sources.fields import Fields
from server.migrate.sources.source import Source
from server.migrate.sources.store_entry import described, record
from server.migrate.stores import keys
from server.migrate.stores.address import Address
from server.migrate.stores.qdrant.address import FORM
from server.migrate.stores.qdrant.open import Qdrant


def make(location: str, options: Mapping[str, str]) -> Source:
    """Read `qdrant:FOLDER#COLLECTION` or `qdrant+http://HOST:PORT#COLLECTION`."""
    return QdrantSource(FORM.parse(location), Fields.of(options))


class QdrantSource:
    """Implements `Source`. The order is that of Qdrant's point ids."""

    def __init__(self, where: Address, fields: Fields) -> None:
        self._address = where
        self._fields = fields
        self._store = Qdrant(where)

    def identity(self) -> str:
        """Return the address without secrets, and a digest of all points; this reads the whole collection."""
        return f"{self._address}, {described(self._fields, self.records(0))}"

    def count(self) -> int:
        """Count the points."""
        return self._store.count()

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on; the points before it must be read too."""
        points = (point for page in self._store.pages(payload=True) for point in page)
        for ordinal, point in enumerate(islice(points, start, None), start):
            payload = dict(point.payload or {})
            id_ = keys.original(point.id, payload)
            if id_ != str(point.id):
                del payload[keys.ID]
            yield record(self._fields, ordinal, payload, id_)

    def close(self) -> None:
        """Close the connection."""
        self._store.close()
