"""The folder `NAME.partial` in which an output in files grows: whoever has it has the output, wherever its journal is.

The folder appears under its name with the mark of its job inside, and goes the same way, by one rename each. So no
other job can write to the output meanwhile, be it on this machine or another, and no link is followed.
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
# A part is called by the place of its first row.
PART = re.compile(r"[0-9]{15}\.(?:parquet|new)")


class Growing:
    """One output's folder, from `claim` to `remove`."""

    def __init__(self, final: Path) -> None:
        self.folder = final.with_name(f"{final.name}.partial")
        self._final = final
        self._made = Made()
        self._lock: Lock | None = None

    def path(self, name: str) -> Path:
        """Where the file called `name`, one of those above, grows."""
        return self.folder / name

    def holds(self, name: str) -> bool:
        """Tell whether a file of that name is there."""
        return os.path.lexists(self.path(name))

    def is_done(self, target: Target, name: str, final: Path) -> bool:
        """Tell whether a job that goes on had been killed after `name`, the last file to go, was made `final`."""
        self._made = target.made
        return bool(target.written) and target.made.owns(final) and not self.holds(name)

    def claim(self, target: Target, finals: Sequence[Path] = ()) -> None:
        """Take the output for the job that `target` is of, whose finished files are to be `finals`.

        Raises:
            MigrateError: it is another job's, or something else is under one of the names; nothing was changed.
            OSError: the folder cannot be made.
        """
        self._made = target.made
        if not self._final.parent.is_dir():
            raise MigrateError(f"there is no folder {self._final.parent}; make it first")
        check_finals(self._made, finals, replace=target.fresh or bool(target.written))
        if not os.path.lexists(self.folder):
            self._make()
        self._check_own()
        held = Lock(self.path(lock.NAME), f"{self._final} is being written already")
        # A file system without locks is no reason to refuse: the mark keeps other jobs out.
        with suppress(OSError):
            held.take()
            self._lock = held

    def settle(self, name: str, final: Path) -> None:
        """Give the file called `name`, complete, its final name for good.

        Raises:
            MigrateError: something that is not this job's has taken that name.
            OSError: the disk refuses.
        """
        path = self.path(name)
        staging.flush(path)
        check_finals(self._made, [final], replace=True)
        self._made.record(path, final)
        path.replace(final)
        staging.flush(final.parent)

    def fresh(self, name: str) -> Path:
        """Return the path of a file that is about to be written anew, with nothing there.

        Raises:
            OSError: what is there is not this program's.
        """
        owned_files.remove(self.path(name))
        return self.path(name)

    def remove(self) -> None:
        """Remove the folder, all of it at once for whoever looks on; does nothing where there is none.

        Raises:
            MigrateError: it is not this job's, or something else is in it.
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
        """Let go of the lock; the job may be continued later."""
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
            # Another job was faster, as the check after this shows.
        staging.flush(self.folder.parent)

    def _check_own(self) -> None:
        real = self.folder.is_dir() and not self.folder.is_symlink()
        found = folder_mark.read(self.folder) if real else None
        if found is None:
            raise MigrateError(f"{self.folder} exists and is not this job's; choose another --output, or move it away")
        if found.job != self._made.job:
            raise MigrateError(
                f"{self._final} is being made by another job, which began earlier; its journal is {found.journal}. "
                f"Go on with that one (--journal), choose another --output, or remove {self.folder} yourself"
            )
        known = [name for name in FILES if name != PARTS] + ([PARTS] if _is_parts(self.path(PARTS)) else [])
        if others := folder_mark.strangers(self.folder, known):
            raise MigrateError(f"{self.folder / others[0]} was not made by this program; move it away")

    def _aside(self) -> Path:
        """The folder's name before it is marked and while it goes: nobody else's, since the job's id is in it."""
        return self.folder.with_name(f"{self.folder.name}-{self._made.job[:16]}")


def _is_parts(path: Path) -> bool:
    real = path.is_dir() and not path.is_symlink()
    return real and all(PART.fullmatch(entry.name) for entry in path.iterdir())


def _empty(folder: Path) -> None:
    """Remove what this program makes in such a folder; of anything else the caller finds out by `rmdir`."""
    parts = folder / PARTS
    if _is_parts(parts):
        for path in parts.iterdir():
            owned_files.remove(path)
        parts.rmdir()
    for name in [*FILES, folder_mark.FRESH, folder_mark.NAME]:
        if name != PARTS:
            owned_files.remove(folder / name)
