"""What one job has made outside of its journal's folder, by which it knows its own files again."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# Size in bytes and time of the last change in nanoseconds: a rename keeps both, other content does not.
Identity = tuple[int, int]
# The file that is there and the one that is about to replace it.
KEPT = 2


def _nowhere() -> None:
    """Keep nothing, as tests of a single part do."""


@dataclass(slots=True)
class Made:
    """The job's id, where its journal is, and what it made: finished files by path, and whatever else by name.

    `save` puts it on disk; it is called before what it names comes into being.
    """

    job: str = ""
    journal: str = ""
    files: dict[str, list[Identity]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    save: Callable[[], None] = _nowhere

    def owns(self, path: Path) -> bool:
        """Tell whether the file at `path` is as this job made it; a link never is."""
        try:
            status = path.lstat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and _identity(status) in self.files.get(_key(path), ())

    def record(self, growing: Path, final: Path) -> None:
        """Note that `growing`, which is complete, is about to be renamed to `final`.

        Raises:
            OSError: the note could not be written.
        """
        known = self.files.get(_key(final), [])
        mine = _identity(growing.lstat())
        if mine not in known:
            self.files[_key(final)] = [*known, mine][-KEPT:]
            self.save()

    def note(self, name: str) -> None:
        """Note what cannot be told by its bytes, such as a folder or a store's namespace, before it is made."""
        if name not in self.names:
            self.names.append(name)
            self.save()


def _identity(status: os.stat_result) -> Identity:
    return status.st_size, status.st_mtime_ns


def _key(path: Path) -> str:
    return str(path.parent.resolve() / path.name)
