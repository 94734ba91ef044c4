"""What every sink can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.inference.engine import Vectors
from server.migrate.ownership.made_files import Made
from server.migrate.record import Row


@dataclass(frozen=True, slots=True)
class Target:
    """What a sink is opened for. `fresh` empties what an earlier job left; otherwise that job is continued.

    `written` counts the rows that the journal has on record: a sink whose target holds fewer refuses. `made` is what
    the job made before; nothing else is ever replaced.
    """

    dimension: int
    model: str
    precision: str
    written: int
    fresh: bool
    made: Made = field(default_factory=Made)


class Sink(Protocol):
    """An output that survives being killed between any two calls, and in the middle of each."""

    def identity(self) -> str:
        """Name the target without secrets, the same for the same target: the journal refuses to resume on another."""
        ...

    def open(self, target: Target) -> None:
        """Prepare the target.

        Raises:
            MigrateError: it cannot be reached or used, holds something else, or a client library is missing; the
                message says what to do.
        """
        ...

    def write(self, rows: Sequence[Row]) -> None:
        """Store `rows`, in order and next to those before, and return only when the target has them for good.

        Rows that are there already are replaced, never doubled. Passing faults (429, 5xx, timeouts) are retried here.

        Raises:
            MigrateError: they could not be stored; nothing is lost, since the journal does not have them yet.
        """
        ...

    def finish(self) -> None:
        """Complete the target: indexes, footers, the final name."""
        ...

    def count(self) -> int:
        """Count the rows in the finished target."""
        ...

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        """Read vectors back by (place, id), for verification; ids that are not there are left out."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the job may be continued later."""
        ...
