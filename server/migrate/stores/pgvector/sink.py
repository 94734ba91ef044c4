"""Writes to a PostgreSQL table with pgvector: COPY into a staging table, then an upsert in the same transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from numpy.typing import NDArray

from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores.claim import COMPLETE, GROWING, ClaimStep, ExistingCollection, decide, mark
from server.migrate.stores.metadata import to_json
from server.migrate.stores.pgvector.address import FORM
from server.migrate.stores.pgvector.open import PgTable
from server.migrate.stores.retry import retried
from server.migrate.stores.store_sink import StoreSink


@dataclass(frozen=True, slots=True)
class Column:
    """A type for vectors: its name, the operators to index, and the most dimensions that an HNSW index takes.

    The limits are those of pgvector's README, "HNSW".
    """

    name: str
    operators: str
    longest: int


COLUMNS = {
    "float": Column("vector", "vector_cosine_ops", 2000),
    "float16": Column("halfvec", "halfvec_cosine_ops", 4000),
    "ubinary": Column("bit", "bit_hamming_ops", 64_000),
}
INDEX_SUFFIX = "_embedding_hnsw"
NAME_BYTES = 63


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to `postgresql://USER@HOST:PORT/DATABASE#TABLE`."""
    return PgvectorSink(FORM.parse(output), PgTable)


class PgvectorSink(StoreSink[PgTable]):
    """Implements `Sink`. The table has the columns id, text, embedding and metadata."""

    def open(self, target: Target) -> None:
        """Create the extension if needed, and open or create the table."""
        column = COLUMNS[target.output.kind.name]
        if target.dimension > column.longest:
            wider = [f"{name} ({one.longest})" for name, one in COLUMNS.items() if one.longest > column.longest]
            raise MigrateError(
                f"pgvector indexes at most {column.longest} dimensions as {column.name}; the model gives "
                f"{target.dimension}. Take fewer (--dimensions) or another --output-dtype: {', '.join(wider) or 'none'}"
            )
        self.connect(target)
        self.store.hold()
        self._do("the extension vector cannot be made", "CREATE EXTENSION IF NOT EXISTS vector")
        self.store.register()
        if column.name != "vector" and not self.store.has_halves():
            raise MigrateError(
                f"{self.identity()}: its extension vector is older than 0.7, which {column.name} needs; run ALTER "
                "EXTENSION vector UPDATE in the database, after upgrading the package"
            )
        step = decide(self._held(), target, self.identity())
        if step is not ClaimStep.CONTINUE:
            retried(
                f"{self.identity()} cannot be made", lambda: self._create(target, replace=step is ClaimStep.REPLACE)
            )

    def write(self, rows: Sequence[Row]) -> None:
        """Store `rows` in one transaction."""
        for row in rows:
            if "\0" in row.id + row.text:
                raise MigrateError(f"{row.id!r} holds a NUL character, which PostgreSQL stores in no text; remove it")
        what = f"{self.identity()}: {len(rows)} rows cannot be stored"
        retried(what, lambda: self._copy(rows), self.store.is_passing)

    def finish(self) -> None:
        """Build the index over all rows, update the planner's statistics, and mark the table complete."""
        last = self.address.collection.split(".")[-1]
        name = last.encode()[: NAME_BYTES - len(INDEX_SUFFIX)].decode(errors="ignore") + INDEX_SUFFIX
        self._do(
            "the index cannot be built",
            "CREATE INDEX IF NOT EXISTS {index} ON {table} USING hnsw (embedding {operators})",
            index=self.store.sql.Identifier(name),
            operators=self.store.sql.SQL(self._column.operators),
        )
        self._do("the table cannot be analyzed", "ANALYZE {table}")
        self._do("the table cannot be marked", "COMMENT ON TABLE {table} IS {mark}", mark=self._comment(COMPLETE))

    def _held(self) -> ExistingCollection | None:
        if not self.store.columns():
            return None
        dimension = self.store.dimension() if self.store.vector_columns() else None
        return ExistingCollection(self.store.mark(), dimension, self.store.count())

    def _create(self, target: Target, *, replace: bool) -> None:
        with self.store.connection().transaction():
            if replace:
                self._execute("DROP TABLE {table}")
            self._execute(
                "CREATE TABLE {table} (id text PRIMARY KEY, text text NOT NULL, "
                "embedding {type}({dimension}) NOT NULL, metadata jsonb NOT NULL)",
                type=self.store.sql.SQL(self._column.name),
                dimension=self.store.sql.Literal(target.dimension),
            )
            # Without compression: PostgreSQL would compress these large values, and normalized floats do not shrink.
            self._execute("ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE EXTERNAL")
            self._execute("COMMENT ON TABLE {table} IS {mark}", mark=self._comment(GROWING))

    def _copy(self, rows: Sequence[Row]) -> None:
        connection, jsonb = self.store.connection(), optional.load("psycopg.types.json").Jsonb
        with connection.transaction(), connection.cursor() as cursor:
            self._execute("CREATE TEMPORARY TABLE migrate_staging (LIKE {table}) ON COMMIT DROP")
            with cursor.copy("COPY migrate_staging FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "text", self._column.name, "jsonb"])
                for row in rows:
                    metadata = jsonb(to_json(row.metadata, row.id), dumps=str)
                    copy.write_row((row.id, row.text, self._adapted(row.vector), metadata))
            self._execute(
                "INSERT INTO {table} SELECT * FROM migrate_staging ON CONFLICT (id) DO UPDATE "
                "SET text = excluded.text, embedding = excluded.embedding, metadata = excluded.metadata"
            )

    @property
    def _column(self) -> Column:
        return COLUMNS[self.target.output.kind.name]

    def _adapted(self, vector: NDArray[Any]) -> object:
        """Return a row's vector as a value that the client writes."""
        pgvector, name = optional.load("pgvector"), self._column.name
        if name == "bit":
            return pgvector.Bit(vector.tobytes())
        return pgvector.HalfVector(vector) if name == "halfvec" else vector

    def _execute(self, statement: str, **parts: object) -> None:
        composed: Any = self.store.sql.SQL(statement).format(table=self.store.table, **parts)
        self.store.connection().execute(composed)

    def _comment(self, state: str) -> object:
        return self.store.sql.Literal(orjson.dumps(mark(self.target, state)).decode())

    def _do(self, fault: str, statement: str, **parts: object) -> None:
        retried(f"{self.identity()}: {fault}", lambda: self._execute(statement, **parts), self.store.is_passing)
