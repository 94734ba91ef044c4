"""What sinks in stores share: a connection from `open` to `close`, and reading back through it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from server.engine import Vectors
from server.migrate.address import Address
from server.migrate.errors import MigrateError
from server.migrate.sinks.sink import Target
from server.migrate.stores.stored import Stored

StoreT = TypeVar("StoreT", bound=Stored)


class StoreSink(Generic[StoreT]):
    """The part of a `Sink` that is the same for every store."""

    def __init__(self, where: Address, connect: Callable[[Address], StoreT]) -> None:
        self.address = where
        self._connect = connect
        self._opened: tuple[StoreT, Target] | None = None

    @property
    def store(self) -> StoreT:
        """The connection."""
        return self._both()[0]

    @property
    def target(self) -> Target:
        """What the sink was opened for."""
        return self._both()[1]

    def identity(self) -> str:
        """Return the address without secrets."""
        return str(self.address)

    def connect(self, target: Target) -> None:
        """Connect, once and for `target`.

        Raises:
            MigrateError: the store does not answer, or its client is not installed.
        """
        self._opened = self._connect(self.address), target

    def count(self) -> int:
        """Count the rows."""
        return self.store.count()

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        """Read vectors by id."""
        return self.store.vectors([id_ for _, id_ in rows])

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        if self._opened:
            self._opened[0].close()
            self._opened = None

    def _both(self) -> tuple[StoreT, Target]:
        if self._opened is None:
            raise MigrateError(f"{self.identity()} is not open")
        return self._opened
