"""Opens and reads a PostgreSQL table with a column of vectors: of pgvector's types, or of bits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.stores.address import Address
from server.migrate.stores.claim import DTYPE, output_of, space_of
from server.migrate.stores.retry import reason, retried
from server.migrate.stores.stored import Stored, chunks
from server.model.output_types import COMPONENTS_PER_BYTE, TYPES
from server.secret import SECRET_NAME, remember
from server.service.output import Output

PAGE = 1000
CONNECT_TIMEOUT_S = 10
ID = "id"
TEXT = "text"
# pgvector's types of numbers, which are never metadata.
VECTORS = ("vector", "halfvec", "sparsevec")
# The column that a migration fills; only there can bits be a vector.
EMBEDDING, BITS = "embedding", "bit"
# Types read as Python values; all others are read as PostgreSQL's text form. An array type's name begins with `_`.
PLAIN = (
    *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "name", "uuid"),
    *("date", "time", "timetz", "timestamp", "timestamptz", "json", "jsonb", "bytea"),
)


class PgTable:
    """A table that may not exist yet; a lost connection is reopened by the next query."""

    def __init__(self, address: Address, id_column: str = "") -> None:
        """Connect.

        Raises:
            MigrateError: the server does not answer or refuses, or the client is not installed.
        """
        self._address = address
        self.id_column = id_column or ID
        self._psycopg = optional.load("psycopg")
        self._check_readable()
        self.sql = optional.load("psycopg.sql")
        self.table = self.sql.Identifier(*address.collection.split("."))
        self._connection: Any = None
        self._holds = False
        retried(f"{address} cannot be opened", self.connection)

    def connection(self) -> Any:  # noqa: ANN401 - the client's own
        """Return the connection, reopened if it was lost."""
        if self._connection is None or self._connection.closed:
            self._connection = self._psycopg.connect(
                self._address.location.reveal(), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
            )
            self.register()
            if self._holds and not self._take():
                # Transient: the server may not have noticed yet that the lost session has ended.
                self._connection.close()
                raise self._psycopg.OperationalError("another session writes to the table")
        return self._connection

    def hold(self) -> None:
        """Lock the table against other migrations while this process is connected.

        Takes a session-level advisory lock (PostgreSQL, "Advisory Locks").

        Raises:
            MigrateError: another process has it.
        """
        if not retried(f"{self._address} cannot be locked", self._take, self.is_passing):
            raise MigrateError(f"{self._address} is being written already, by another process; wait for it or stop it")
        self._holds = True

    def register(self) -> None:
        """Register pgvector's types with the connection, if the extension is installed in the database."""
        if self._connection.execute("SELECT to_regtype('vector')").fetchone()[0]:
            optional.load("pgvector.psycopg").register_vector(self._connection)

    def columns(self) -> dict[str, str]:
        """Return the table's columns with their types, in table order; empty if there is no such table."""
        rows = self._ask(
            "SELECT attname, typname FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (self.table.as_string(self.connection()),),
        )
        return dict(rows)

    def ids(self) -> Iterator[str]:
        """Yield every id as text, in the order of the id column."""
        yield from (row[0] for row in self.stream([], 0))

    def stream(self, columns: Sequence[str], start: int) -> Iterator[tuple[Any, ...]]:
        """Yield the id as text and then `columns` of every row from number `start` on, in one transaction."""
        types = self.columns()
        names = [self._selected(name, types.get(name, "")) for name in columns]
        id_ = self.sql.Identifier(self.id_column)
        # `entry.` orders by the column, which has an index, rather than by its text form in the select list.
        query = self.sql.SQL("SELECT {} FROM {} AS entry ORDER BY entry.{} OFFSET {}").format(
            self.sql.SQL(", ").join([self.sql.SQL("{}::text").format(id_), *names]),
            self.table,
            id_,
            self.sql.Literal(start),
        )
        connection = self.connection()
        with connection.transaction(), connection.cursor(name="migrate") as cursor:
            cursor.itersize = PAGE
            try:
                yield from cursor.execute(query)
            except self._psycopg.Error as error:
                raise MigrateError(f"{self._address} cannot be read: {reason(error)}") from error

    def vectors(self, ids: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Read vectors by id; bits are packed, eight to a byte."""
        query = self.sql.SQL("SELECT {id}::text, {vector} FROM {table} WHERE {id}::text = ANY(%s)").format(
            id=self.sql.Identifier(self.id_column), vector=self.sql.Identifier(self._column()), table=self.table
        )
        vectors: dict[str, NDArray[Any]] = {}
        for part in chunks(ids, PAGE):
            vectors |= {id_: _numbers(vector) for id_, vector in self._ask(query, (part,))}
        return vectors

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Read the column `text` by id."""
        if TEXT not in self.columns():
            return {}
        query = self.sql.SQL("SELECT {id}::text, {text}::text FROM {table} WHERE {id}::text = ANY(%s)").format(
            id=self.sql.Identifier(self.id_column), text=self.sql.Identifier(TEXT), table=self.table
        )
        return {id_: text for part in chunks(ids, PAGE) for id_, text in self._ask(query, (part,)) if text}

    def mark(self) -> dict[str, Any] | None:
        """Return the mark that a migration left in the table's comment, if it did."""
        try:
            comment = orjson.loads(self.comment())
        except orjson.JSONDecodeError:
            return None
        return comment if isinstance(comment, dict) else None

    def space(self) -> str:
        """Return the id in the table's comment."""
        return space_of(self.mark())

    def output(self) -> Output:
        """Return the type in the table's comment; without it, that of the column.

        Raises:
            MigrateError: bits are no whole bytes, or the comment says a type that is unknown.
        """
        mark = self.mark() or {}
        if DTYPE in mark or self.columns()[self._column()] != BITS:
            return output_of(mark)
        length = self.dimension() or 0
        if length % COMPONENTS_PER_BYTE or not length:
            raise MigrateError(f"{self._address} holds vectors of {length} bits, which is not divisible by 8")
        return Output(TYPES["ubinary"])

    def vector_columns(self) -> list[str]:
        """Return the names of the columns of vectors."""
        columns = self.columns()
        if columns.get(EMBEDDING) != BITS:
            return vector_columns(columns, bits=0, marked=False)
        marked = (self.mark() or {}).get(DTYPE) == "ubinary"
        return vector_columns(columns, self._length(EMBEDDING) or 0, marked=marked)

    def has_halves(self) -> bool:
        """Return whether the extension is new enough for half precision and indexes of bits (pgvector 0.7)."""
        return bool(self._ask("SELECT to_regtype('halfvec') IS NOT NULL")[0][0])

    def count(self) -> int:
        """Count the rows."""
        return int(self._ask(self.sql.SQL("SELECT count(*) FROM {}").format(self.table))[0][0])

    def dimension(self) -> int | None:
        """Return the declared dimension of the vector column; None if it has none."""
        return self._length(self._column())

    def _length(self, column: str) -> int | None:
        rows = self._ask(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s",
            (self.table.as_string(self.connection()), column),
        )
        return int(rows[0][0]) if rows and rows[0][0] > 0 else None

    def comment(self) -> str:
        """Return the table's comment."""
        name = self.table.as_string(self.connection())
        return str(self._ask("SELECT obj_description(to_regclass(%s), 'pg_class')", (name,))[0][0] or "")

    def is_passing(self, error: BaseException) -> bool:
        """Return whether a fault is transient: a lost connection, a server that starts or is full, a deadlock."""
        return isinstance(error, self._psycopg.OperationalError)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _check_readable(self) -> None:
        """Parse the address with the client's own parser, and remember the secrets that it finds for masking."""
        try:
            parameters = optional.load("psycopg.conninfo").conninfo_to_dict(self._address.location.reveal())
        # Its message quotes the part that it could not parse, which may be the password.
        except self._psycopg.Error:
            raise MigrateError(
                f"{self._address} is no address that PostgreSQL's client reads; percent-encode user and password, "
                f"or leave the password to PGPASSWORD or ~/.pgpass"
            ) from None
        remember(*(str(value) for name, value in parameters.items() if SECRET_NAME.search(name)))

    def _selected(self, name: str, kind: str) -> Any:  # noqa: ANN401 - composed SQL
        plain = kind.removeprefix("_") in PLAIN
        return self.sql.SQL("{}" if plain else "{}::text").format(self.sql.Identifier(name))

    def _take(self) -> bool:
        connection = self._connection if self._holds else self.connection()
        *schema, table = self._address.collection.split(".")
        cursor = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('embedding-service ' || coalesce((SELECT nspname FROM "
            "pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass(%s)), "
            "%s::text, current_schema()) || '.' || %s, 0))",
            (self.table.as_string(connection), next(iter(schema), None), table),
        )
        return bool(cursor.fetchone()[0])

    def _column(self) -> str:
        columns = self.vector_columns()
        if len(columns) != 1:
            raise MigrateError(f"{self._address} has {len(columns)} columns of vectors where one is needed")
        return columns[0]

    def _ask(self, query: Any, values: Sequence[object] = ()) -> list[Any]:  # noqa: ANN401 - text or composed SQL
        def work() -> list[Any]:
            rows: list[Any] = self.connection().execute(query, values or None).fetchall()
            return rows

        return retried(f"{self._address} cannot be read", work, self.is_passing)


def vector_columns(columns: Mapping[str, str], bits: int, *, marked: bool) -> list[str]:
    """Return the names of the columns of vectors among `columns`, types by name.

    `bits` is the length of a column `embedding` of bits, `marked` whether the table's mark says that it holds vectors.
    Without the mark it may be a flag: it counts only if it is a byte or more, and nothing else is a vector.
    """
    names = [name for name, kind in columns.items() if kind in VECTORS]
    counts = columns.get(EMBEDDING) == BITS and (marked or (not names and bits >= COMPONENTS_PER_BYTE))
    return [*names, EMBEDDING] if counts else names


def _numbers(vector: Any) -> NDArray[Any]:  # noqa: ANN401 - the client's own
    if not isinstance(vector, str):
        return np.asarray(vector.to_list(), np.float32)
    # The client reads bits as text.
    return np.packbits(np.frombuffer(vector.encode("ascii"), np.uint8) - ord("0"))


def open_store(address: Address) -> Stored:
    """Connect to the table that `address` names.

    Raises:
        MigrateError: it cannot be opened, or the client is not installed.
    """
    return PgTable(address)
