"""The interface of sources, the inputs of a migration."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.secret import Location


@dataclass(frozen=True, slots=True)
class Broken:
    """Takes the place of a record's text if the entry could not be read; `reason` says why."""

    reason: str


class Source(Protocol):
    """An input that streams the same records in the same order each time."""

    def identity(self) -> str:
        """Return a name of the input and a digest of its content, without secrets; a job resumes only if it is equal.

        Raises:
            MigrateError: it cannot be read.
        """
        ...

    def count(self) -> int:
        """Count the records, including those that cannot be embedded."""
        ...

    def records(self, start: int) -> Iterator[Record]:
        """Yield the records from ordinal `start` on. The text of an unreadable entry is a Broken.

        Raises:
            MigrateError: the rest of the input cannot be read.
        """
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


def checked(records: int, where: Location) -> int:
    """Return `records`, the number of records in the input `where`, if it is not 0.

    Raises:
        MigrateError: it is 0, most likely because of a wrong path or a failed export.
    """
    if not records:
        raise MigrateError(f"--input {where} has no records: nothing to embed, and nothing was written")
    return records
