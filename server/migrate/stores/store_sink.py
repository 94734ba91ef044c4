"""The base class of sinks for stores: manages the connection and the lock, and reads rows back."""

import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from server.migrate.errors import MigrateError
from server.migrate.ownership.lock import Lock
from server.migrate.sinks.sink import Target
from server.migrate.stores.address import Address
from server.migrate.stores.stored import Stored

StoreT = TypeVar("StoreT", bound=Stored)


class StoreSink(Generic[StoreT]):
    """The part of a `Sink` that is the same for every store."""

    def __init__(self, where: Address, connect: Callable[[Address], StoreT]) -> None:
        self.address = where
        self._connect = connect
        self._opened: tuple[StoreT, Target] | None = None
        self._lock: Lock | None = None

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
        """Connect for `target`; if the store is a folder, lock the collection against other processes.

        Raises:
            MigrateError: another process holds the lock, the store does not answer, or its client is not installed.
        """
        self._take()
        self._opened = self._connect(self.address), target

    def count(self) -> int:
        """Count the rows."""
        return self.store.count()

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, NDArray[Any]]:
        """Read vectors by id."""
        return self.store.vectors([id_ for _, id_ in rows])

    def close(self) -> None:
        """Close the connection, if there is one, and remove the lock."""
        if self._opened:
            self._opened[0].close()
            self._opened = None
        if self._lock:
            self._lock.remove()
            self._lock = None

    def _take(self) -> None:
        location = self.address.location.reveal()
        if self.address.remote or "://" in location:
            return
        folder, name = Path(location), sha256(self.address.collection.encode()).hexdigest()[:8]
        held = Lock(folder / f".migrate-{name}.lock", f"{self.identity()} is being written already")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.take()
        except OSError:
            return  # the file system has no locks; the collection's mark still keeps other jobs out
        self._lock = held

    def _both(self) -> tuple[StoreT, Target]:
        if self._opened is None:
            raise MigrateError(f"{self.identity()} is not open")
        return self._opened


def check_alone(folder: Path, known: AbstractSet[str], where: str) -> None:
    """Check that a folder that a client will fill or remove contains only files with `known` names.

    Raises:
        MigrateError: it contains something else, or is a link; nothing was changed.
    """
    if not os.path.lexists(folder):
        return
    real = folder.is_dir() and not folder.is_symlink()
    others = sorted({entry.name for entry in folder.iterdir()} - known) if real else []
    if others or not real:
        raise MigrateError(
            f"{folder / others[0] if others else folder}, where {where} is to be, was not made by a migration; move it "
            "away, or choose another name in --output. Nothing was changed"
        )
