"""Writes to a LanceDB table: id, text, vector, and metadata as JSON, upserted by id."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from server.migrate import optional
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores.claim import COMPLETE, ClaimStep, ExistingCollection, decide, mark, output_of
from server.migrate.stores.lancedb.address import FORM
from server.migrate.stores.lancedb.open import ID, VECTOR, Lance, mark_in
from server.migrate.stores.metadata import to_json
from server.migrate.stores.retry import retried
from server.migrate.stores.store_sink import StoreSink, check_alone
from server.model.output_types import COMPONENTS_PER_BYTE

# With fewer rows LanceDB's exact search is fast enough; with more, an index is worth its loss of recall.
INDEXED_FROM = 100_000
# The age from which old table versions are removed; a concurrent reader uses a younger one.
OLD = timedelta(minutes=1)
# The entries of a table's folder (Lance, table format: file layout).
FILES = frozenset({"data", "_versions", "_transactions", "_deletions", "_indices", "_refs"})


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to `lancedb:FOLDER#TABLE`."""
    return LanceSink(FORM.parse(output), Lance)


class LanceSink(StoreSink[Lance]):
    """Implements `Sink`."""

    def open(self, target: Target) -> None:
        """Open or create the table."""
        self.connect(target)
        step = decide(self._held(), target, self.identity())
        if step is not ClaimStep.CONTINUE:
            self._check_folder()
            mode = "overwrite" if step is ClaimStep.REPLACE else "create"
            database, name, schema = self.store.database, self.store.name, self._schema(target)
            what = f"{self.identity()} cannot be made"
            self.store.table = retried(what, lambda: database.create_table(name, schema=schema, mode=mode))

    def write(self, rows: Sequence[Row]) -> None:
        """Upsert `rows` as one version of the table."""
        table = self.store.table
        merge = table.merge_insert(ID).when_matched_update_all().when_not_matched_insert_all()
        batch = self._batch(rows, table.schema)
        retried(f"{self.identity()}: {len(rows)} rows cannot be stored", lambda: merge.execute(batch))

    def finish(self) -> None:
        """Compact the table, build the index if there are enough rows, and mark the table complete."""
        table = self.store.table
        retried(f"{self.identity()} cannot be compacted", lambda: table.optimize(cleanup_older_than=OLD))
        if self.count() >= INDEXED_FROM and not table.list_indices():
            index = self._index()
            retried(f"{self.identity()}: the index cannot be built", lambda: table.create_index(VECTOR, config=index))
        done = {"path": VECTOR, "metadata": mark(self.target, COMPLETE)}
        retried(f"{self.identity()} cannot be completed", lambda: table.update_field_metadata(done))

    def _index(self) -> Any:  # noqa: ANN401 - the client's own
        kinds = optional.load("lancedb.index")
        # The only index of LanceDB that compares bits.
        packed = self.target.output.kind.packed
        return kinds.IvfFlat(distance_type="hamming") if packed else kinds.HnswSq(distance_type="cosine")

    def _check_folder(self) -> None:
        place = self.address.location.reveal()
        if "://" not in place:
            check_alone(Path(place, f"{self.store.name}.lance"), FILES, self.identity())

    def _held(self) -> ExistingCollection | None:
        table = self.store.table
        if table is None:
            return None
        if VECTOR not in table.schema.names:
            return ExistingCollection(None, None, table.count_rows())
        field = table.schema.field(VECTOR)
        width = getattr(field.type, "list_size", None)
        packed = output_of(mark_in(field)).kind.packed
        components = width * COMPONENTS_PER_BYTE if width and packed else width
        return ExistingCollection(mark_in(field), components, table.count_rows())

    def _schema(self, target: Target) -> Any:  # noqa: ANN401 - pyarrow's own
        arrow = self.store.pyarrow
        kind = arrow.list_(arrow.from_numpy_dtype(target.output.kind.dtype), target.width)
        vector = arrow.field(VECTOR, kind, nullable=False, metadata=mark(target))
        text = [arrow.field(name, arrow.string(), nullable=False) for name in (ID, "text", "metadata")]
        return arrow.schema([text[0], text[1], vector, text[2]])

    def _batch(self, rows: Sequence[Row], schema: Any) -> Any:  # noqa: ANN401 - pyarrow's own
        arrow = self.store.pyarrow
        values = arrow.array(np.stack([row.vector for row in rows]).ravel())
        vectors = arrow.FixedSizeListArray.from_arrays(values, schema.field(VECTOR).type.list_size)
        metadata = [to_json(row.metadata, row.id) for row in rows]
        return arrow.table([[row.id for row in rows], [row.text for row in rows], vectors, metadata], schema=schema)
