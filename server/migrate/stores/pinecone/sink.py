"""Writes to a namespace of a Pinecone index, or to a folder of shards if the output is not an address."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores.pinecone.address import FORM
from server.migrate.stores.pinecone.open import PineconeNamespace, requests
from server.migrate.stores.pinecone.record import record
from server.migrate.stores.pinecone.shards import PineconeShards
from server.migrate.stores.store_sink import StoreSink

# Pinecone is eventually consistent: counts and fetches show a write only some time after it is acknowledged.
VISIBLE_WITHIN_S = 120.0
LOOK_AGAIN_S = 2.0


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to `pinecone://INDEX-HOST#NAMESPACE`, or shards into the folder `output`."""
    if output.partition(":")[0].lower() in FORM.schemes:
        return PineconeSink(FORM.parse(output), PineconeNamespace)
    return PineconeShards(Path(output))


class PineconeSink(StoreSink[PineconeNamespace]):
    """Implements `Sink`.

    A namespace cannot carry a mark, so a job starts only in an empty one, records that it uses it, and refuses to start
    over in one that contains records.
    """

    _expected = 0

    def open(self, target: Target) -> None:
        """Check that the index has the right dimension and the namespace is empty or this job's."""
        self.connect(target)
        dimension, rows = self.store.stats()
        if dimension != target.dimension:
            raise MigrateError(
                f"{self.identity()} is an index of {dimension} dimensions, these vectors have {target.dimension}; "
                f"make a new index for them"
            )
        begun = self.identity() in target.made.names and not target.fresh
        if rows and not begun and not target.written:
            raise MigrateError(
                f"{self.identity()} holds {rows} records; choose another namespace, or empty this one: "
                f"index.delete(delete_all=True, namespace={self.store.name!r})"
            )
        target.made.note(self.identity())
        self._expected = target.written
        if self._visible() < target.written:
            raise MigrateError(f"{self.identity()} has lost some of {target.written} records; run with --restart")

    def write(self, rows: Sequence[Row]) -> None:
        """Upsert `rows`, in requests within Pinecone's limits."""
        for batch in requests(record(row, self.target.space) for row in rows):
            self.store.upsert(batch)
        self._expected = max([self._expected, *(row.place + 1 for row in rows)])

    def finish(self) -> None:
        """Do nothing: Pinecone updates its index on every write."""

    def count(self) -> int:
        """Count the records, after waiting up to VISIBLE_WITHIN_S for all written ones to become visible."""
        return self._visible()

    def _visible(self) -> int:
        deadline = time.monotonic() + VISIBLE_WITHIN_S
        while (rows := self.store.stats()[1]) < self._expected and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_S)
        return rows
