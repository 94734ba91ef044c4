"""An exclusive lock file that contains the holder's process id and is released when the process ends (flock(2))."""

import fcntl
import os
import re
from pathlib import Path

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files

NAME = "lock"
HOLDER = re.compile(rb"[0-9]{0,19}\n?")


class Lock:
    """A file that is locked from `take` to `release`; a file left by a dead process locks nothing."""

    def __init__(self, path: Path, what: str) -> None:
        """Use the file at `path`; `what` begins the error message if another process holds the lock."""
        self._path = path
        self._what = what
        self._descriptor = -1

    def take(self) -> None:
        """Acquire the lock without waiting.

        Raises:
            MigrateError: another process holds it.
            OSError: the file cannot be created, or its file system does not support locks.
        """
        while self._descriptor < 0:
            self._descriptor = owned_files.open_or_create(self._path)
            try:
                self._take()
                if not self._is_there():  # the previous holder removed it after we opened it
                    self.release()
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Remove the file and release the lock, if this process holds it."""
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
    """Return whether the file at `path` can be a lock: empty, or containing a process id."""
    try:
        owned_files.check(path)
        with path.open("rb") as stream:
            return bool(HOLDER.fullmatch(stream.read(32)))
    except OSError:
        return False
