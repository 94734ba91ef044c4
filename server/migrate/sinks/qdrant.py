"""A Qdrant collection: metadata, text and, where the point's id is another one, the input's id as payload."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from server.migrate import address, keys
from server.migrate.record import Row
from server.migrate.retry import persist
from server.migrate.sinks.claim import COMPLETE, Held, Step, decide, mark
from server.migrate.sinks.metadata import plain
from server.migrate.sinks.sink import Sink, Target
from server.migrate.sinks.store import StoreSink
from server.migrate.stores.qdrant import PAGE, Qdrant
from server.migrate.stores.stored import chunks


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to `qdrant:FOLDER#COLLECTION` or `qdrant+http://HOST:PORT#COLLECTION`."""
    return QdrantSink(address.parse(output), Qdrant)


class QdrantSink(StoreSink[Qdrant]):
    """See `Sink`."""

    def open(self, target: Target) -> None:
        """Find or make the collection."""
        self.connect(target)
        step = decide(self._held(), target, self.identity())
        if step is Step.CONTINUE:
            return
        client, name, models = self.store.client, self.store.name, self.store.models
        if step is Step.REPLACE:
            persist(f"{self.identity()} cannot be emptied", lambda: client.delete_collection(name))
        size = models.VectorParams(size=target.dimension, distance=models.Distance.COSINE)
        persist(
            f"{self.identity()} cannot be made",
            lambda: client.create_collection(name, vectors_config=size, metadata=mark(target)),
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Upsert `rows`, and wait until they are applied."""
        for part in chunks(rows, PAGE):
            points = self.store.models.Batch(
                ids=[keys.qdrant_key(row.id) for row in part],
                vectors=[row.vector.tolist() for row in part],
                payloads=[_payload(row) for row in part],
            )
            persist(
                f"{self.identity()}: {len(part)} rows cannot be stored",
                partial(self.store.client.upsert, self.store.name, points, wait=True),
                self.store.passing,
            )

    def finish(self) -> None:
        """Note that all rows are there; Qdrant indexes as it goes."""
        client, name, done = self.store.client, self.store.name, mark(self.target, COMPLETE)
        what = f"{self.identity()} cannot be completed"
        persist(what, lambda: client.update_collection(name, metadata=done), self.store.passing)

    def _held(self) -> Held | None:
        if not self.store.exists():
            return None
        info = self.store.info()
        size = getattr(info.params.vectors, "size", None)
        return Held(getattr(info, "metadata", None), size, self.store.count())


def _payload(row: Row) -> dict[str, Any]:
    added = {keys.TEXT: row.text}
    if str(keys.qdrant_key(row.id)) != row.id:
        added[keys.ID] = row.id
    return keys.merged(plain(row.metadata, row.id), added)
