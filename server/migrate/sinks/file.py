"""Shared by the sinks that write files: checks of the final names, and reading rows back for verification."""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from server.migrate.errors import MigrateError
from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink


@runtime_checkable
class FileSink(Protocol):
    """A sink whose finished target consists of files, which a receipt can hash."""

    def files(self) -> list[Path]:
        """Return the files of the finished target."""
        ...


@runtime_checkable
class FolderSink(Protocol):
    """A sink whose files are in a folder of their own, which has a mark."""

    folder: Path


def finals(sink: Sink) -> list[Path]:
    """Return the final files of a sink; none if a folder or a store carries the mark instead."""
    return sink.files() if isinstance(sink, FileSink) and not isinstance(sink, FolderSink) else []


def check_finals(made: Made, finals: Iterable[Path], *, replace: bool) -> None:
    """Check that the final names are free or, with `replace`, hold only files that the job wrote.

    Raises:
        MigrateError: a name is taken, even if only by a link.
    """
    for final in finals:
        if os.path.lexists(final) and not made.owns(final):
            raise MigrateError(f"{final} exists and is not this job's; choose another --output, or move it away")
        if made.owns(final) and not replace:
            raise MigrateError(f"{final} exists; choose another --output, or --restart to replace it")


def pick_rows(stored: Iterable[Row], rows: Sequence[tuple[int, str]]) -> Mapping[str, NDArray[Any]]:
    """Read vectors by place, leaving out those whose stored id is another one; stop after the last place."""
    wanted = dict(rows)
    upto = islice(stored, max(wanted, default=-1) + 1)
    return {row.id: row.vector.copy() for row in upto if wanted.get(row.place) == row.id}
