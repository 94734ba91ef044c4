"""The interface of sinks, the outputs of a migration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from server.service.output import FLOAT32, Output


@dataclass(frozen=True, slots=True)
class Target:
    """The job that a sink is opened for. `fresh` empties the job's earlier output; otherwise the job is resumed.

    `written` is the number of rows recorded in the journal: a sink refuses a target with fewer. `made` records what the
    job created before; nothing else is ever replaced. `space` is the id of the vectors' embedding space, empty if it is
    not known: shards of earlier versions do not say it. `dimension` counts components; `output` is the type in which
    rows hold them.
    """

    dimension: int
    model: str
    precision: str
    written: int
    fresh: bool
    made: Made = field(default_factory=Made)
    space: str = ""
    output: Output = FLOAT32

    @property
    def width(self) -> int:
        """The numbers of a row's vector: fewer than its components where a byte holds eight."""
        return self.output.kind.width(self.dimension)


class Sink(Protocol):
    """An output that can be resumed if the process is killed between any two calls, or during one."""

    def identity(self) -> str:
        """Return a stable name of the target, without secrets; the journal refuses to resume with another one."""
        ...

    def open(self, target: Target) -> None:
        """Prepare the target.

        Raises:
            MigrateError: it cannot be reached or used, contains something else, or a client library is missing; the
                message says what to do.
        """
        ...

    def write(self, rows: Sequence[Row]) -> None:
        """Store `rows`, which follow the previous ones, and return only when they are stored durably.

        Rows that exist already are replaced, never duplicated. Transient faults (429, 5xx, timeouts) are retried here.

        Raises:
            MigrateError: they could not be stored; nothing is lost, because the journal has not recorded them.
        """
        ...

    def finish(self) -> None:
        """Complete the target: indexes, footers, the final name."""
        ...

    def count(self) -> int:
        """Count the rows in the finished target."""
        ...

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, NDArray[Any]]:
        """Read vectors back by (place, id), for verification; missing ids are left out.

        They hold the numbers that were written, of which some clients change the dtype.
        """
        ...

    def close(self) -> None:
        """Close files and connections; the job may be resumed later."""
        ...
