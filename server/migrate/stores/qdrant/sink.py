"""Writes to a Qdrant collection: the payload has metadata, text and, if the point's id differs, the input's id."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores import keys
from server.migrate.stores.claim import COMPLETE, ClaimStep, ExistingCollection, decide, mark
from server.migrate.stores.metadata import plain
from server.migrate.stores.qdrant.address import FORM
from server.migrate.stores.qdrant.open import PAGE, Qdrant
from server.migrate.stores.retry import retried
from server.migrate.stores.store_sink import StoreSink, check_alone
from server.migrate.stores.stored import chunks
from server.model.output_types import OutputName

# Files of the client's local mode in a collection's folder.
STORAGE = "storage.sqlite"
FILES = frozenset({STORAGE, f"{STORAGE}-journal"})


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to `qdrant:FOLDER#COLLECTION` or `qdrant+http://HOST:PORT#COLLECTION`."""
    return QdrantSink(FORM.parse(output), Qdrant)


class QdrantSink(StoreSink[Qdrant]):
    """Implements `Sink`."""

    def open(self, target: Target) -> None:
        """Open or create the collection."""
        self.connect(target)
        step = decide(self._held(), target, self.identity())
        if step is ClaimStep.CONTINUE:
            return
        self._check_folder(empty=step is ClaimStep.CREATE)
        client, name, models = self.store.client, self.store.name, self.store.models
        if step is ClaimStep.REPLACE:
            retried(f"{self.identity()} cannot be emptied", lambda: client.delete_collection(name))
        size = models.VectorParams(size=target.dimension, **_typed(target.output.kind.name, models))
        retried(
            f"{self.identity()} cannot be made",
            lambda: client.create_collection(name, vectors_config=size, metadata=mark(target)),
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Upsert `rows` and wait until they are applied."""
        for part in chunks(rows, PAGE):
            points = self.store.models.Batch(
                ids=[keys.qdrant_key(row.id) for row in part],
                vectors=[row.vector.tolist() for row in part],
                payloads=[_payload(row) for row in part],
            )
            retried(
                f"{self.identity()}: {len(part)} rows cannot be stored",
                partial(self.store.client.upsert, self.store.name, points, wait=True),
                self.store.passing,
            )

    def finish(self) -> None:
        """Mark the collection complete; Qdrant updates its index on every write."""
        client, name, done = self.store.client, self.store.name, mark(self.target, COMPLETE)
        what = f"{self.identity()} cannot be completed"
        retried(what, lambda: client.update_collection(name, metadata=done), self.store.passing)

    def _check_folder(self, *, empty: bool) -> None:
        """Check that the collection's folder, which the client fills or removes, contains no other files.

        A folder of a collection that the client does not list may be left by a killed attempt; it must have no points.
        """
        if self.address.remote:
            return
        folder = Path(self.address.location.reveal(), "collection", self.store.name)
        check_alone(folder, FILES, self.identity())
        if empty and (folder / STORAGE).exists() and not _is_empty(folder / STORAGE):
            raise MigrateError(
                f"{folder / STORAGE} holds points of no collection that {self.address.location.reveal()} lists; move "
                "it away, or choose another name in --output. Nothing was changed"
            )

    def _held(self) -> ExistingCollection | None:
        if not self.store.exists():
            return None
        info = self.store.info()
        size = getattr(info.params.vectors, "size", None)
        return ExistingCollection(getattr(info, "metadata", None), size, self.store.count())


def _typed(name: OutputName, models: Any) -> dict[str, Any]:  # noqa: ANN401 - the client's own
    """Return the distance of vectors of a type, and Qdrant's datatype for them."""
    if name == "uint8":
        # Their zero is 128, which a cosine or product would count in.
        return {"distance": models.Distance.EUCLID, "datatype": models.Datatype.UINT8}
    typed = {"datatype": models.Datatype.FLOAT16} if name == "float16" else {}
    return {"distance": models.Distance.COSINE, **typed}


def _is_empty(storage: Path) -> bool:
    try:
        with closing(sqlite3.connect(storage)) as opened:
            tables = opened.execute("SELECT name FROM sqlite_master").fetchall()
            known = not tables or ("points",) in tables
            return known and not (tables and opened.execute("SELECT 1 FROM points LIMIT 1").fetchall())
    except sqlite3.Error:
        return False


def _payload(row: Row) -> dict[str, Any]:
    added = {keys.TEXT: row.text}
    if str(keys.qdrant_key(row.id)) != row.id:
        added[keys.ID] = row.id
    return keys.merged(plain(row.metadata, row.id), added)
