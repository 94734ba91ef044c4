"""What sinks in files share: they grow in a folder beside their final name and take it when they are complete."""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from server.inference.engine import Vectors
from server.migrate.errors import MigrateError
from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink


@runtime_checkable
class FileSink(Protocol):
    """A sink whose finished target is files, which a receipt can hash."""

    def files(self) -> list[Path]:
        """Name the files of the finished target."""
        ...


@runtime_checkable
class FolderSink(Protocol):
    """A sink whose files lie in a folder of their own, which has a mark."""

    folder: Path


def finals(sink: Sink) -> list[Path]:
    """Name the files that a sink will have made; none where a folder or a store is marked instead."""
    return sink.files() if isinstance(sink, FileSink) and not isinstance(sink, FolderSink) else []


def check_finals(made: Made, finals: Iterable[Path], *, replace: bool) -> None:
    """Check that nothing is under the names of finished files, or if it may `replace` them, what the job put there.

    Raises:
        MigrateError: something else is, if only a link.
    """
    for final in finals:
        if os.path.lexists(final) and not made.owns(final):
            raise MigrateError(f"{final} exists and is not this job's; choose another --output, or move it away")
        if made.owns(final) and not replace:
            raise MigrateError(f"{final} exists; choose another --output, or --restart to replace it")


def pick_rows(stored: Iterable[Row], rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
    """Read vectors by place where the id there is the one asked for, and no further than the last of them."""
    wanted = dict(rows)
    upto = islice(stored, max(wanted, default=-1) + 1)
    return {row.id: row.vector.copy() for row in upto if wanted.get(row.place) == row.id}
