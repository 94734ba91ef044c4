"""Whether what a job reads and what it writes are different files, however their names are spelled."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from server.migrate.errors import MigrateError

Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder that a job uses, as `said` by the user or made of it. `folder`: all that is in it counts too."""

    said: str
    path: Path
    written: bool
    folder: bool = False


def check_apart(places: Iterable[Place]) -> None:
    """Check, pair by pair, that nothing is written over what is read or written otherwise; links are resolved.

    Raises:
        MigrateError: two of `places` are one file, or one lies in a folder that is the other's.
    """
    resolved = [(place, Path(os.path.realpath(place.path))) for place in places]
    for (one, here), (other, there) in combinations(resolved, 2):
        if not (one.written or other.written):
            continue
        if _same(here, there):
            raise MigrateError(f"{one.said} and {other.said} are one file ({here}); nothing was changed")
        _check_inside(one, here, other, there)
        _check_inside(other, there, one, here)


def _check_inside(inner: Place, path: Path, outer: Place, folder: Path) -> None:
    """Check that `inner` is not in the folder that `outer` is, nor, where it is only read, linked from there."""
    if not outer.folder:
        return
    between = _between(path, folder)
    # Hidden files are no part of a folder that is read.
    if between and (outer.written or not any(name.startswith(".") for name in between)):
        raise MigrateError(f"{inner.said} lies in {outer.said} ({folder}); nothing was changed. Choose another place")
    if inner.written and not outer.written and not inner.folder:
        _check_links(inner, path, outer, folder)


def _same(one: Path, other: Path) -> bool:
    """Tell whether two resolved names are one file: the same inode or, where there is none, the same name.

    Names that differ only in case are taken for the same, which they are on some file systems.
    """
    first, second = _inode(one), _inode(other)
    if first and second:
        return first == second
    return not (first or second) and str(one).casefold() == str(other).casefold()


def _between(path: Path, folder: Path) -> tuple[str, ...]:
    """Return the names that lead from `folder` to `path`; none where it is not in there, by inode if there is one."""
    wanted = _inode(folder)
    for depth, parent in enumerate(path.parents, 1):
        if parent == folder or (wanted and _inode(parent) == wanted):
            return path.parts[-depth:]
    return ()


def _check_links(inner: Place, path: Path, outer: Place, folder: Path) -> None:
    """Check that no file in a folder that is read is a link, symbolic or hard, to the file that is written."""
    wanted = _inode(path)
    if not wanted or not path.is_file():
        return
    for at, _, names in os.walk(folder):
        for name in names:
            if _inode(Path(at, name)) == wanted:
                raise MigrateError(f"{inner.said} is a file in {outer.said} ({Path(at, name)}); nothing was changed")


def _inode(path: Path) -> Inode | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
