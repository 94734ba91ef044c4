"""What every source can do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.secret import Location


@dataclass(frozen=True, slots=True)
class Broken:
    """Stands where a record's text should be: the entry could not be read, and why."""

    reason: str


class Source(Protocol):
    """An input that gives the same records in the same order each time, without holding them in memory."""

    def identity(self) -> str:
        """Name the input and its content without secrets: the journal refuses to resume on another.

        Raises:
            MigrateError: it cannot be read.
        """
        ...

    def count(self) -> int:
        """Count the records, those that cannot be embedded included."""
        ...

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on. An entry that cannot be read has a Broken for its text.

        Raises:
            MigrateError: what is left cannot be read at all.
        """
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


def checked(records: int, where: Location) -> int:
    """Return the number of records in the input `where`.

    Raises:
        MigrateError: there is none, which a wrong path or an export that failed looks like.
    """
    if not records:
        raise MigrateError(f"--input {where} has no records: nothing to embed, and nothing was written")
    return records
