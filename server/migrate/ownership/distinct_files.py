"""Checks that the files a job reads and writes are distinct, whatever names or links lead to them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from server.migrate.errors import MigrateError

Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder that a job uses, described for messages by `said`; `folder` includes everything in it."""

    said: str
    path: Path
    written: bool
    folder: bool = False


def check_apart(places: Iterable[Place]) -> None:
    """Check every pair of places for overlap, unless both are only read; links are resolved.

    Raises:
        MigrateError: two of `places` are the same file, or one is inside the other's folder.
    """
    resolved = [(place, Path(os.path.realpath(place.path))) for place in places]
    for (one, path), (other, other_path) in combinations(resolved, 2):
        if not (one.written or other.written):
            continue
        if _same(path, other_path):
            raise MigrateError(f"{one.said} and {other.said} are one file ({path}); nothing was changed")
        _check_inside(one, path, other, other_path)
        _check_inside(other, other_path, one, path)


def _check_inside(inner: Place, path: Path, outer: Place, folder: Path) -> None:
    """Check that `inner` is not in the folder `outer`, nor the target of a link in it if that folder is an input."""
    if not outer.folder:
        return
    between = _between(path, folder)
    # Hidden files are not read from an input folder.
    if between and (outer.written or not any(name.startswith(".") for name in between)):
        raise MigrateError(f"{inner.said} lies in {outer.said} ({folder}); nothing was changed. Choose another place")
    if inner.written and not outer.written and not inner.folder:
        _check_links(inner, path, outer, folder)


def _same(one: Path, other: Path) -> bool:
    """Return whether two resolved paths are the same file: by inode or, if neither exists, by name.

    Names that differ only in case count as the same, as they are on some file systems.
    """
    first, second = _inode(one), _inode(other)
    if first and second:
        return first == second
    return not (first or second) and str(one).casefold() == str(other).casefold()


def _between(path: Path, folder: Path) -> tuple[str, ...]:
    """Return the path components from `folder` to `path`; empty if it is not inside, compared by inode if possible."""
    wanted = _inode(folder)
    for depth, parent in enumerate(path.parents, 1):
        if parent == folder or (wanted and _inode(parent) == wanted):
            return path.parts[-depth:]
    return ()


def _check_links(inner: Place, path: Path, outer: Place, folder: Path) -> None:
    """Check that no file in an input folder is a symbolic or hard link to the file to be written."""
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
