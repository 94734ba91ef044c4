"""Records what a job has created outside its journal's folder, so that it can recognize its own files later."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# Size in bytes and modification time in nanoseconds: a rename keeps both, a rewrite changes them.
Identity = tuple[int, int]
# The present file and the one about to replace it.
KEPT = 2


def _nowhere() -> None:
    """Save nothing, for tests of a single part."""


@dataclass(slots=True)
class Made:
    """The job's id, its journal, and what it created: finished files by path, and folders and namespaces by name.

    `save` writes the record to disk, before the thing that it names is created.
    """

    job: str = ""
    journal: str = ""
    files: dict[str, list[Identity]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    save: Callable[[], None] = _nowhere

    def owns(self, path: Path) -> bool:
        """Return whether the file at `path` is unchanged since this job wrote it; False for a link."""
        try:
            status = path.lstat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and _identity(status) in self.files.get(_key(path), ())

    def record(self, growing: Path, final: Path) -> None:
        """Record that the completed file `growing` is about to be renamed to `final`.

        Raises:
            OSError: the record could not be written.
        """
        known = self.files.get(_key(final), [])
        identity = _identity(growing.lstat())
        if identity not in known:
            self.files[_key(final)] = [*known, identity][-KEPT:]
            self.save()

    def note(self, name: str) -> None:
        """Record the name of something that has no size and time, such as a folder or namespace, before creating it."""
        if name not in self.names:
            self.names.append(name)
            self.save()


def _identity(status: os.stat_result) -> Identity:
    return status.st_size, status.st_mtime_ns


def _key(path: Path) -> str:
    return str(path.parent.resolve() / path.name)
