"""Opens and reads a LanceDB table with the columns id and vector, in a folder or on an object store."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.stores.address import Address
from server.migrate.stores.claim import DTYPE, output_of, space_of
from server.migrate.stores.retry import retried
from server.migrate.stores.stored import Stored, chunks
from server.model.output_types import TYPES
from server.service.output import Output

PAGE = 1000
ID, TEXT, VECTOR = "id", "text", "vector"


class Lance:
    """A database and, if it exists, the table."""

    def __init__(self, address: Address) -> None:
        """Connect.

        Raises:
            MigrateError: the folder cannot be used, or the client is not installed.
        """
        self.name = address.collection
        self._where = str(address)
        self.pyarrow = optional.load("pyarrow")
        lancedb = optional.load("lancedb")
        self.database = retried(f"{self._where} cannot be opened", lambda: lancedb.connect(address.location.reveal()))
        self.table = retried(f"{self._where} cannot be opened", self._find)

    def ids(self) -> Iterator[str]:
        """Yield every id, in table order."""
        reader = self._ask(lambda: self._existing().search().select([ID]).to_batches(batch_size=PAGE))
        for batch in reader:
            yield from batch.column(ID).to_pylist()

    def vectors(self, ids: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Read vectors by id."""
        vectors_by_id: dict[str, NDArray[Any]] = {}
        for part in chunks(ids, PAGE):
            rows = self._ask(partial(self._rows, part, VECTOR))
            vectors = rows[VECTOR].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
            vectors_by_id |= dict(zip(rows[ID].to_pylist(), vectors, strict=True)) if len(rows) else {}
        return vectors_by_id

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Read the column `text` by id."""
        texts: dict[str, str] = {}
        if TEXT not in self._existing().schema.names:
            return texts
        for part in chunks(ids, PAGE):
            rows = self._ask(partial(self._rows, part, TEXT))
            texts |= {id_: text for id_, text in zip(rows[ID].to_pylist(), rows[TEXT].to_pylist(), strict=True) if text}
        return texts

    def space(self) -> str:
        """Return the id in the metadata of the column of vectors."""
        return space_of(self._mark())

    def output(self) -> Output:
        """Return the type in the metadata of the column of vectors; without it, bytes are bits, as LanceDB has them."""
        mark, schema = self._mark(), self._existing().schema
        if DTYPE not in mark and VECTOR in schema.names:
            held = getattr(schema.field(VECTOR).type, "value_type", None)
            return Output(TYPES["ubinary"]) if held == self.pyarrow.uint8() else output_of(mark)
        return output_of(mark)

    def count(self) -> int:
        """Count the rows."""
        return int(self._ask(self._existing().count_rows))

    def close(self) -> None:
        """Drop the reference to the table."""
        self.table = None

    def _find(self) -> Any:  # noqa: ANN401 - the client's own
        try:
            return self.database.open_table(self.name)
        except ValueError as error:
            # The client has no existence check that works for every kind of database.
            if "was not found" in str(error):
                return None
            raise

    def _mark(self) -> dict[str, str]:
        schema = self._existing().schema
        return mark_in(schema.field(VECTOR)) if VECTOR in schema.names else {}

    def _rows(self, ids: Sequence[str], column: str) -> Any:  # noqa: ANN401 - the client's own
        listed = ", ".join("'" + id_.replace("'", "''") + "'" for id_ in ids)
        wanted = self._existing().search().where(f"{ID} IN ({listed})")
        return wanted.select([ID, column]).limit(len(ids)).to_arrow()

    def _existing(self) -> Any:  # noqa: ANN401 - the client's own
        if self.table is None:
            raise MigrateError(f"{self._where}: there is no such table")
        return self.table

    def _ask(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client's own
        return retried(f"{self._where} cannot be read", work)


def mark_in(field: Any) -> dict[str, str]:  # noqa: ANN401 - pyarrow's own
    """Return the mark in the metadata of the column of vectors; empty if a migration left none."""
    return {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}


def open_store(address: Address) -> Stored:
    """Connect to the table that `address` names.

    Raises:
        MigrateError: it cannot be opened, or the client is not installed.
    """
    return Lance(address)
