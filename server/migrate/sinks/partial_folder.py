"""The folder `NAME.partial`, which holds an unfinished output and reserves the output for one job.

The folder is created and removed by one rename each, and carries its job's mark from the start. So no other job, on
this machine or another, can write to the output meanwhile, and no link is followed.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.ownership import folder_mark, lock, owned_files
from server.migrate.ownership.folder_mark import Mark
from server.migrate.ownership.lock import Lock
from server.migrate.ownership.made_files import Made
from server.migrate.sinks.file import check_finals
from server.migrate.sinks.sink import Target
from server.model import staging

VECTORS, IDS, LINES, WHOLE, PARTS = "vectors", "ids", "lines", "whole", "parts"
FILES = [VECTORS, IDS, LINES, WHOLE, PARTS, lock.NAME]
# A part is named by the place of its first row.
PART = re.compile(r"[0-9]{15}\.(?:parquet|new)")


class PartialFolder:
    """One output's folder, from `claim` to `remove`."""

    def __init__(self, final: Path) -> None:
        self.folder = final.with_name(f"{final.name}.partial")
        self._final = final
        self._made = Made()
        self._lock: Lock | None = None

    def path(self, name: str) -> Path:
        """Return the path of the partial file `name`, one of those above."""
        return self.folder / name

    def holds(self, name: str) -> bool:
        """Return whether a partial file of that name exists."""
        return os.path.lexists(self.path(name))

    def is_done(self, target: Target, name: str, final: Path) -> bool:
        """Return whether a resumed job had already renamed `name`, its last file, to `final` when it was killed."""
        self._made = target.made
        return bool(target.written) and target.made.owns(final) and not self.holds(name)

    def claim(self, target: Target, finals: Sequence[Path] = ()) -> None:
        """Reserve the output for the job of `target`, whose finished files will be `finals`.

        Raises:
            MigrateError: it is another job's, or one of the names is taken; nothing was changed.
            OSError: the folder cannot be created.
        """
        self._made = target.made
        if not self._final.parent.is_dir():
            raise MigrateError(f"there is no folder {self._final.parent}; make it first")
        check_finals(self._made, finals, replace=target.fresh or bool(target.written))
        if not os.path.lexists(self.folder):
            self._make()
        self._check_own()
        held = Lock(self.path(lock.NAME), f"{self._final} is being written already")
        # Not an error on a file system without locks: the mark still keeps other jobs out.
        with suppress(OSError):
            held.take()
            self._lock = held

    def settle(self, name: str, final: Path) -> None:
        """Rename the complete file `name` to its final name, durably.

        Raises:
            MigrateError: the final name is taken by a file that is not this job's.
            OSError: the file could not be flushed or renamed.
        """
        path = self.path(name)
        staging.flush(path)
        check_finals(self._made, [final], replace=True)
        self._made.record(path, final)
        path.replace(final)
        staging.flush(final.parent)

    def fresh(self, name: str) -> Path:
        """Return the path of a file to be written from scratch, after removing an earlier one.

        Raises:
            OSError: the earlier one was not created by this program.
        """
        owned_files.remove(self.path(name))
        return self.path(name)

    def remove(self) -> None:
        """Remove the folder atomically, by a rename; do nothing if there is none.

        Raises:
            MigrateError: it is not this job's, or contains something else.
            OSError: it cannot be removed.
        """
        self.close()
        leaving = self._aside()
        if os.path.lexists(self.folder):
            self._check_own()
            self.folder.rename(leaving)
        if leaving.is_dir() and not leaving.is_symlink():
            _empty(leaving)
            leaving.rmdir()

    def close(self) -> None:
        """Release the lock; the job may be resumed later."""
        if self._lock:
            self._lock.release()
            self._lock = None

    def _make(self) -> None:
        made, coming = self._made, self._aside()
        if coming.is_symlink():
            raise MigrateError(f"{coming} is a link; remove it")
        coming.mkdir(exist_ok=True)
        _empty(coming)
        folder_mark.write(
            coming, Mark(folder_mark.MAGIC, folder_mark.VERSION, made.job, str(self._final), made.journal, FILES)
        )
        try:
            coming.rename(self.folder)
        except OSError:
            _empty(coming)
            coming.rmdir()
            if not os.path.lexists(self.folder):
                raise
            # Another job created the folder first; the caller's check of the mark reports it.
        staging.flush(self.folder.parent)

    def _check_own(self) -> None:
        real = self.folder.is_dir() and not self.folder.is_symlink()
        mark = folder_mark.read(self.folder) if real else None
        if mark is None:
            raise MigrateError(f"{self.folder} exists and is not this job's; choose another --output, or move it away")
        if mark.job != self._made.job:
            raise MigrateError(
                f"{self._final} is being made by another job, which began earlier; its journal is {mark.journal}. "
                f"Go on with that one (--journal), choose another --output, or remove {self.folder} yourself"
            )
        known = [name for name in FILES if name != PARTS] + ([PARTS] if _is_parts(self.path(PARTS)) else [])
        if others := folder_mark.strangers(self.folder, known):
            raise MigrateError(f"{self.folder / others[0]} was not made by this program; move it away")

    def _aside(self) -> Path:
        """Return the folder's temporary name for creation and removal, unique because it contains the job's id."""
        return self.folder.with_name(f"{self.folder.name}-{self._made.job[:16]}")


def _is_parts(path: Path) -> bool:
    real = path.is_dir() and not path.is_symlink()
    return real and all(PART.fullmatch(entry.name) for entry in path.iterdir())


def _empty(folder: Path) -> None:
    """Remove the files that this program creates in such a folder; any others make the caller's `rmdir` fail."""
    parts = folder / PARTS
    if _is_parts(parts):
        for path in parts.iterdir():
            owned_files.remove(path)
        parts.rmdir()
    for name in [*FILES, folder_mark.FRESH, folder_mark.NAME]:
        if name != PARTS:
            owned_files.remove(folder / name)
