"""A lock that one process holds at a time, with the holder's number in it; it ends with the process (flock(2))."""

import fcntl
import os
import re
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files

NAME = "lock"
HOLDER = re.compile(rb"[0-9]{0,19}\n?")


class Lock:
    """A file that is locked from `take` to `release`. Nobody's claim rests on it once its process is gone."""

    def __init__(self, path: Path, what: str) -> None:
        """Lock by the file at `path`; `what` begins the sentence for whoever comes second."""
        self._path = path
        self._what = what
        self._descriptor = -1

    def take(self) -> None:
        """Keep every other process out.

        Raises:
            MigrateError: another process has it.
            OSError: the file cannot be made, or its file system has no locks.
        """
        while self._descriptor < 0:
            self._descriptor = owned_files.open_or_create(self._path)
            try:
                self._take()
                if not self._is_there():  # whoever had it has removed it since
                    self.release()
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Let others in."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Remove the file and let others in, if this process has the lock."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            self.release()

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise MigrateError(
                f"{self._what}, as process {holder} (lock {self._path}); wait for it or stop it"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)


def is_lock(path: Path) -> bool:
    """Tell whether what is at `path` can be a lock: an empty file, or the number of a process."""
    try:
        owned_files.check(path)
        with path.open("rb") as stream:
            return bool(HOLDER.fullmatch(stream.read(32)))
    except OSError:
        return False
