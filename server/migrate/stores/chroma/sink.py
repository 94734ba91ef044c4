"""Writes to a Chroma collection: text as document, flat metadata, upserts of the largest batch the client allows."""

from collections.abc import Mapping, Sequence
from functools import partial

from server.migrate.record import Row
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores.chroma.address import FORM
from server.migrate.stores.chroma.open import Chroma
from server.migrate.stores.claim import COMPLETE, ClaimStep, ExistingCollection, decide, mark
from server.migrate.stores.metadata import flat
from server.migrate.stores.retry import retried
from server.migrate.stores.store_sink import StoreSink
from server.migrate.stores.stored import chunks


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to `chroma:FOLDER#COLLECTION` or `chroma+http://HOST:PORT#COLLECTION`."""
    return ChromaSink(FORM.parse(output), Chroma)


class ChromaSink(StoreSink[Chroma]):
    """Implements `Sink`."""

    def open(self, target: Target) -> None:
        """Open or create the collection."""
        self.connect(target)
        step = decide(self._held(), target, self.identity())
        if step is ClaimStep.CONTINUE:
            return
        if step is ClaimStep.REPLACE:
            retried(
                f"{self.identity()} cannot be emptied", lambda: self.store.client.delete_collection(self.store.name)
            )
        self.store.collection = retried(
            f"{self.identity()} cannot be made",
            lambda: self.store.client.create_collection(
                self.store.name,
                metadata=mark(target),
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine"}},
            ),
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Upsert `rows`."""
        for part in chunks(rows, self.store.batch):
            batch = {
                "ids": [row.id for row in part],
                "embeddings": [row.vector for row in part],
                "documents": [row.text for row in part],
                # Chroma refuses empty metadata.
                "metadatas": [flat(row.metadata, row.id) or None for row in part],
            }
            retried(
                f"{self.identity()}: {len(part)} rows cannot be stored",
                partial(self.store.existing().upsert, **batch),
                self.store.passing,
            )

    def finish(self) -> None:
        """Mark the collection complete; Chroma updates its index on every write."""
        collection, done = self.store.existing(), mark(self.target, COMPLETE)
        retried(f"{self.identity()} cannot be completed", lambda: collection.modify(metadata=done), self.store.passing)

    def _held(self) -> ExistingCollection | None:
        store = self.store
        if store.collection is None:
            return None
        first = next(iter(store.pages(0, ["embeddings"])), None)
        dimension = len(first["embeddings"][0]) if first else None
        return ExistingCollection(store.collection.metadata, dimension, store.count())
