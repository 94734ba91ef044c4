"""A job's folder, with its journal and the files beside it; locked to one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from server.migrate.errors import MigrateError
from server.migrate.ownership import folder_mark, lock, owned_files
from server.migrate.ownership.folder_mark import Mark
from server.migrate.ownership.lock import Lock
from server.migrate.ownership.made_files import Made


class JobWorkspace:
    """One job's folder. A mark in it holds the job's id; a folder without one is never written to or cleared."""

    def __init__(self, folder: Path, output: str = "") -> None:
        """Use `folder` for the job that writes to `output`, the target's identity without secrets."""
        self.folder = folder
        self._output = output
        self.made = Made(journal=str(folder.resolve()), save=self._save)
        self.journal = folder / "journal"
        self.rejects = folder / "rejects.jsonl"
        self.sample = folder / "sample.jsonl"
        self.ordinals = folder / "ordinals"
        self.memo = folder / "memo"
        self.ids = folder / "ids.sqlite3"
        self.receipt = folder / "receipt.json"

    @property
    def files(self) -> list[str]:
        """The names of all files that a job creates in its folder, the journal first."""
        replaced = (self.journal, self.rejects, self.receipt)
        paths = (*replaced, self.sample, self.ordinals, self.memo, self.ids)
        fresh = [f"{path.name}.new" for path in replaced]
        return [*(path.name for path in paths), f"{self.ids.name}-journal", *fresh, lock.NAME]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against other processes during the block.

        Raises:
            MigrateError: another process runs the job, the folder cannot be created, or it is not this job's.
        """
        held = Lock(self.folder / lock.NAME, "this job is running already")
        try:
            self._check_free()
            self.folder.mkdir(parents=True, exist_ok=True)
            held.take()
        except OSError as error:
            name = f"{error.filename} " if error.filename and Path(error.filename) != self.folder else ""
            raise MigrateError(
                f"{self.folder} cannot hold the journal: {name}{error.strerror}; set --journal"
            ) from None
        try:
            self._claim()
            yield
        finally:
            held.release()

    def clear(self) -> None:
        """Remove the job's files but not its output; the journal goes first, because the others depend on it.

        Raises:
            MigrateError: the folder contains something else; nothing is removed.
        """
        self.check_alone()
        for name in self.files:
            if name != lock.NAME:
                owned_files.remove(self.folder / name)

    def check_alone(self) -> None:
        """Check that the folder contains only files that a job creates.

        Raises:
            MigrateError: it contains something else, which the message names.
        """
        others = folder_mark.strangers(self.folder, self.files)
        if others:
            raise MigrateError(
                f"{self.folder / others[0]} was not made by this program; move it away, or choose another --journal. "
                "Nothing was removed"
            )

    def hand_out_rejects(self, asked: str) -> None:
        """Copy the list of rejects to `asked`, the path given with --rejects; do nothing if it is empty.

        Raises:
            MigrateError: a file that is not this job's is at that path.
            OSError: it cannot be written there.
        """
        if not asked:
            return
        check_own(self.made, Path(asked), "--rejects")
        fresh = Path(asked).with_name(f".rejects-{self.made.job}")
        owned_files.remove(fresh)
        descriptor = owned_files.create(fresh)
        try:
            owned_files.write(descriptor, self.rejects.read_bytes(), fresh)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.made.record(fresh, Path(asked))
        fresh.replace(asked)

    def tidy(self) -> None:
        """Remove the files that only a resumed job would need."""
        for path in (self.memo, self.ids, self.sample):
            owned_files.remove(path)

    def _check_free(self) -> None:
        """Check that the folder is marked as a job's, does not exist, or is empty, before anything is written."""
        if not self.folder.exists() or folder_mark.read(self.folder):
            return
        entries = folder_mark.strangers(self.folder, [])
        if entries == [lock.NAME] and lock.is_lock(self.folder / lock.NAME):
            return  # killed before the mark was written
        if {self.journal.name, lock.NAME} <= set(entries):
            raise MigrateError(
                f"{self.folder} has no {folder_mark.NAME}: its job was begun by an earlier version of this program. "
                "Let that "
                "version finish it, or choose another --output and --journal; nothing was changed"
            )
        if entries:
            raise MigrateError(
                f"{self.folder} is no journal: it holds {entries[0]}, which this program did not make. Name a folder "
                "with --journal that is new or empty; nothing was changed"
            )

    def _claim(self) -> None:
        """Load the job's id and files from the mark, or mark the folder with a new id."""
        mark = folder_mark.read(self.folder)
        if mark is None:
            self.made.job = uuid4().hex
            self._save()
            return
        if mark.output != self._output:
            raise MigrateError(
                f"{self.folder} is the journal of the job that writes to {mark.output}, not to {self._output}; "
                "choose another --journal"
            )
        self.made.job, self.made.files, self.made.names = mark.job, mark.made, mark.names

    def _save(self) -> None:
        made = self.made
        folder_mark.write(
            self.folder,
            Mark(
                folder_mark.MAGIC,
                folder_mark.VERSION,
                made.job,
                self._output,
                made.journal,
                self.files,
                made.files,
                made.names,
            ),
        )


def check_own(made: Made, path: Path, flag: str) -> None:
    """Check that `path`, given with `flag`, is free or holds the file that this job wrote, unchanged.

    Raises:
        MigrateError: another file is there.
    """
    if os.path.lexists(path) and not made.owns(path):
        raise MigrateError(f"{path} exists and is not this job's; choose another {flag}, or move it away")
