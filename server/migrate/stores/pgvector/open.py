"""A PostgreSQL table with a column of pgvector's type `vector`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from server.inference.engine import Vectors
from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.stores.address import Address
from server.migrate.stores.retry import persist, reason
from server.migrate.stores.stored import Stored, chunks
from server.secret import SECRET_NAME, remember

PAGE = 1000
CONNECT_TIMEOUT_S = 10
ID = "id"
# pgvector's types, which are never metadata.
VECTORS = ("vector", "halfvec", "sparsevec")
# Types that come as Python's own; a value of any other comes as PostgreSQL writes it. An array's name begins with `_`.
PLAIN = (
    *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "name", "uuid"),
    *("date", "time", "timetz", "timestamp", "timestamptz", "json", "jsonb", "bytea"),
)


class PgTable:
    """A table that may not exist yet; a lost connection is made again by the next question."""

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
        persist(f"{address} cannot be opened", self.connection)

    def connection(self) -> Any:  # noqa: ANN401 - the client's own
        """Return the connection, made again where it was lost."""
        if self._connection is None or self._connection.closed:
            self._connection = self._psycopg.connect(
                self._address.location.reveal(), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
            )
            self.register()
            if self._holds and not self._take():
                # The server may not have noticed yet that the lost session is gone, so this passes.
                self._connection.close()
                raise self._psycopg.OperationalError("another session writes to the table")
        return self._connection

    def hold(self) -> None:
        """Keep other processes that ask for the same from this table while this one is connected.

        An advisory lock of the session (PostgreSQL, "Advisory Locks"), which ends with it.

        Raises:
            MigrateError: another process has it.
        """
        if not persist(f"{self._address} cannot be locked", self._take, self.is_passing):
            raise MigrateError(f"{self._address} is being written already, by another process; wait for it or stop it")
        self._holds = True

    def register(self) -> None:
        """Teach the connection pgvector's types, where the database has them."""
        if self._connection.execute("SELECT to_regtype('vector')").fetchone()[0]:
            optional.load("pgvector.psycopg").register_vector(self._connection)

    def columns(self) -> dict[str, str]:
        """Return the table's columns with their types, in its order; nothing where there is no such table."""
        found = self._ask(
            "SELECT attname, typname FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (self.table.as_string(self.connection()),),
        )
        return dict(found)

    def ids(self) -> Iterator[str]:
        """Yield every id as text, in the order of the id column."""
        yield from (row[0] for row in self.stream([], 0))

    def stream(self, columns: Sequence[str], start: int) -> Iterator[tuple[Any, ...]]:
        """Yield the id as text and then `columns` of every row from number `start` on, as of one moment."""
        types = self.columns()
        names = [self._selected(name, types.get(name, "")) for name in columns]
        id_ = self.sql.Identifier(self.id_column)
        # `entry.` keeps the order that of the column, which its index has, rather than that of the text made of it.
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

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vectors]:
        """Read vectors by id."""
        query = self.sql.SQL("SELECT {id}::text, {vector} FROM {table} WHERE {id}::text = ANY(%s)").format(
            id=self.sql.Identifier(self.id_column), vector=self.sql.Identifier(self._column()), table=self.table
        )
        found: dict[str, Vectors] = {}
        for part in chunks(ids, PAGE):
            found |= {id_: np.asarray(vector.to_list(), np.float32) for id_, vector in self._ask(query, (part,))}
        return found

    def count(self) -> int:
        """Count the rows."""
        return int(self._ask(self.sql.SQL("SELECT count(*) FROM {}").format(self.table))[0][0])

    def dimension(self) -> int | None:
        """Return the dimension that the vectors' column is declared with."""
        found = self._ask(
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s",
            (self.table.as_string(self.connection()), self._column()),
        )
        return int(found[0][0]) if found and found[0][0] > 0 else None

    def comment(self) -> str:
        """Return the table's comment."""
        name = self.table.as_string(self.connection())
        return str(self._ask("SELECT obj_description(to_regclass(%s), 'pg_class')", (name,))[0][0] or "")

    def is_passing(self, error: BaseException) -> bool:
        """Tell faults that pass: a lost connection, a server that starts or is full, a deadlock."""
        return isinstance(error, self._psycopg.OperationalError)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()

    def _check_readable(self) -> None:
        """Have the client's own parser read the address: what it takes for a secret is known from here on."""
        try:
            found = optional.load("psycopg.conninfo").conninfo_to_dict(self._address.location.reveal())
        # Its words quote the part that it stumbled over, which may be the password.
        except self._psycopg.Error:
            raise MigrateError(
                f"{self._address} is no address that PostgreSQL's client reads; percent-encode user and password, "
                f"or leave the password to PGPASSWORD or ~/.pgpass"
            ) from None
        remember(*(str(value) for name, value in found.items() if SECRET_NAME.search(name)))

    def _selected(self, name: str, kind: str) -> Any:  # noqa: ANN401 - composed SQL
        plain = kind.removeprefix("_") in PLAIN
        return self.sql.SQL("{}" if plain else "{}::text").format(self.sql.Identifier(name))

    def _take(self) -> bool:
        connection = self._connection if self._holds else self.connection()
        *schema, table = self._address.collection.split(".")
        found = connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended('embedding-service ' || coalesce((SELECT nspname FROM "
            "pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass(%s)), "
            "%s::text, current_schema()) || '.' || %s, 0))",
            (self.table.as_string(connection), next(iter(schema), None), table),
        )
        return bool(found.fetchone()[0])

    def _column(self) -> str:
        found = [name for name, kind in self.columns().items() if kind in VECTORS]
        if len(found) != 1:
            raise MigrateError(f"{self._address} has {len(found)} columns of vectors where one is needed")
        return found[0]

    def _ask(self, query: Any, values: Sequence[object] = ()) -> list[Any]:  # noqa: ANN401 - text or composed SQL
        def work() -> list[Any]:
            found: list[Any] = self.connection().execute(query, values or None).fetchall()
            return found

        return persist(f"{self._address} cannot be read", work, self.is_passing)


def open_store(address: Address) -> Stored:
    """Connect to the table that `address` names.

    Raises:
        MigrateError: it cannot be opened, or the client is not installed.
    """
    return PgTable(address)
