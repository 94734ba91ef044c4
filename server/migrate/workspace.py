"""The folder in which a job keeps its journal and what goes with it, for one process at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.migrate.errors import MigrateError

LOCK = "lock"


class Workspace:
    """One job's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.rejects = folder / "rejects.jsonl"
        self.sample = folder / "sample.jsonl"
        self.ordinals = folder / "ordinals"
        self.memo = folder / "memo"
        self.ids = folder / "ids.sqlite3"
        self.receipt = folder / "receipt.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process out while the block runs, and however it ends.

        Raises:
            MigrateError: another process has the job, or the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MigrateError(f"{self.folder} cannot hold the journal: {error.strerror}; set --journal") from None
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Forget the job; the journal goes first, without which the rest means nothing."""
        self.journal.unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def hand_out_rejects(self, asked: str) -> None:
        """Copy the list of rejects to where it was asked for, if it was.

        Raises:
            OSError: it cannot be written there.
        """
        if asked:
            Path(asked).write_bytes(self.rejects.read_bytes())

    def tidy(self) -> None:
        """Remove what only a job that goes on would need."""
        for path in (self.memo, self.ids, self.sample):
            path.unlink(missing_ok=True)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise MigrateError(
                f"this job is running already, as process {holder} (lock {self.folder / LOCK}); wait for it or stop it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
