"""What sinks in files share: they grow beside their final name and take it when they are complete."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from server import staging
from server.engine import Vectors
from server.migrate.errors import MigrateError
from server.migrate.record import Row


@runtime_checkable
class FileSink(Protocol):
    """A sink whose finished target is files, which a receipt can hash."""

    def files(self) -> list[Path]:
        """Name the files of the finished target."""
        ...


def partial(final: Path) -> Path:
    """Where `final` grows."""
    return final.with_name(f"{final.name}.partial")


def check_new(final: Path) -> None:
    """Check that a job which has not written yet finds nothing under its final name.

    Raises:
        MigrateError: something is there, which this job has not made; or the folder is missing.
    """
    if final.exists():
        raise MigrateError(f"{final} exists and is not this job's; choose another --output, or --restart to replace it")
    if not final.parent.is_dir():
        raise MigrateError(f"there is no folder {final.parent}; make it first")


def pick_rows(stored: Iterable[Row], rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
    """Read vectors by place where the id there is the one asked for, and no further than the last of them."""
    wanted = dict(rows)
    upto = islice(stored, max(wanted, default=-1) + 1)
    return {row.id: row.vector.copy() for row in upto if wanted.get(row.place) == row.id}


def settle(path: Path, final: Path) -> None:
    """Give `path`, complete, its final name for good.

    Raises:
        OSError: the disk refuses.
    """
    staging.flush(path)
    path.replace(final)
    staging.flush(final.parent)
