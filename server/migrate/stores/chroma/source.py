"""Reads the documents of a Chroma collection."""

from collections.abc import Iterator, Mapping

from server.migrate.record import Record
from server.migrate.sources.fields import Fields
from server.migrate.sources.source import Source
from server.migrate.sources.store_entry import described, document, record
from server.migrate.stores.address import Address
from server.migrate.stores.chroma.address import FORM
from server.migrate.stores.chroma.open import Chroma


def make(location: str, options: Mapping[str, str]) -> Source:
    """Read `chroma:FOLDER#COLLECTION` or `chroma+http://HOST:PORT#COLLECTION`; the document is the field `text`."""
    return ChromaSource(FORM.parse(location), Fields.of(options))


class ChromaSource:
    """Implements `Source`. The order is that in which Chroma first saw the ids."""

    def __init__(self, where: Address, fields: Fields) -> None:
        self._address = where
        self._fields = fields
        self._store = Chroma(where)

    def identity(self) -> str:
        """Return the address without secrets, and a digest of all entries; this reads the whole collection."""
        return f"{self._address}, {described(self._fields, self.records(0))}"

    def count(self) -> int:
        """Count the entries."""
        return self._store.count()

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on."""
        ordinal = start
        for page in self._store.pages(start, ["documents", "metadatas"]):
            for id_, text, metadata in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
                yield record(self._fields, ordinal, document(text, metadata or {}, self._fields), id_)
                ordinal += 1

    def close(self) -> None:
        """Close the connection."""
        self._store.close()
