"""The folder of a choice: vectors by precision, times, and the results. A killed run continues from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import numpy as np

from server.choose.errors import ChooseError
from server.inference.engine import Vectors
from server.migrate.errors import MigrateError
from server.migrate.job.side_file import SideFile
from server.migrate.ownership import folder_mark, lock, owned_files
from server.migrate.ownership.folder_mark import Mark
from server.migrate.ownership.lock import Lock
from server.model.manifest import PRECISIONS, Precision

STATE, REPORT, CHART = "state.json", "report.json", "chart.svg"
FLOAT_BYTES = 4


class Spent(msgspec.Struct):
    """Texts that were embedded in one round, and the seconds that this took."""

    texts: int = 0
    seconds: float = 0.0


class State(msgspec.Struct):
    """What is finished. `identity` covers all that vectors and speeds depend on; `rounds` has the times, by round."""

    identity: str = ""
    rows: dict[str, int] = {}
    rounds: dict[str, dict[int, Spent]] = {}
    resident: dict[str, int] = {}


class WorkFolder:
    """A folder that this program made, locked to one process."""

    def __init__(self, folder: Path, model: str, dimension: int) -> None:
        self.folder = folder
        self.state = State()
        self._model = model
        self._row_bytes = dimension * FLOAT_BYTES
        self._dimension = dimension

    @contextmanager
    def lock(self, identity: str) -> Iterator[bool]:
        """Lock the folder, keep what belongs to `identity` and remove the rest; yield whether an earlier run goes on.

        Raises:
            ChooseError: it holds what this program did not make, or another process uses it.
            OSError: it cannot be written.
        """
        held = Lock(self.folder / lock.NAME, "this choice is being made already")
        try:
            self._check_free()
            self.folder.mkdir(parents=True, exist_ok=True)
            held.take()
        except MigrateError as error:
            raise ChooseError(str(error)) from None
        try:
            self._claim()
            yield self._load(identity)
        finally:
            held.release()

    def rows(self, precision: Precision) -> int:
        """Return how many vectors are finished in a precision."""
        return self.state.rows.get(precision, 0)

    def read(self, precision: Precision, count: int) -> Vectors:
        """Return the first `count` vectors of a precision, [count, dimension]."""
        path = self.folder / f"{precision}.f32"
        owned_files.check(path)
        vectors = np.fromfile(path, "<f4", count * self._dimension)
        return vectors.reshape(count, self._dimension)

    @contextmanager
    def appending(self, precision: Precision) -> Iterator[SideFile]:
        """Open the vectors of a precision, without what a killed run did not finish."""
        file = SideFile(self.folder / f"{precision}.f32", self.rows(precision) * self._row_bytes)
        try:
            yield file
        finally:
            file.close()

    def keep(self, file: SideFile, precision: Precision, vectors: bytes) -> None:
        """Append finished vectors, durably."""
        file.append(vectors)
        self.state.rows[precision] = file.length // self._row_bytes
        self.save()

    def save(self) -> None:
        """Write the state."""
        self.put(STATE, msgspec.json.encode(self.state))

    def put(self, name: str, data: bytes) -> None:
        """Replace a file of the folder."""
        owned_files.put(self.folder / name, data)

    def _load(self, identity: str) -> bool:
        try:
            owned_files.check(self.folder / STATE)
            kept = msgspec.json.decode((self.folder / STATE).read_bytes(), type=State)
        except (FileNotFoundError, ValueError):
            kept = State()
        if kept.identity == identity:
            self.state = kept
            self._forget_damaged()
            return any(kept.rows.values())
        for precision in PRECISIONS:
            owned_files.remove(self.folder / f"{precision}.f32")
        self.state = State(identity)
        self.save()
        return False

    def _forget_damaged(self) -> None:
        """Begin anew with each precision whose vectors are gone or cut short: its speed is that of all of them."""
        for precision in PRECISIONS:
            path = self.folder / f"{precision}.f32"
            size = path.stat().st_size if path.is_file() else 0
            if size < self.rows(precision) * self._row_bytes:
                self.state.rows.pop(precision)
                self.state.rounds.pop(precision, None)
                self.state.resident.pop(precision, None)

    @property
    def _files(self) -> list[str]:
        put = (STATE, REPORT, CHART)
        return [lock.NAME, *put, *(f"{name}.new" for name in put), *(f"{name}.f32" for name in PRECISIONS)]

    @property
    def _purpose(self) -> str:
        return f"choose {self._model}"

    def _check_free(self) -> None:
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise ChooseError(f"{self.folder} is no folder; choose another --folder. Nothing was changed")
        mark = folder_mark.read(self.folder)
        if mark is not None and mark.output != self._purpose:
            raise ChooseError(f"{self.folder} belongs to another job ({mark.output}); choose another --folder")
        strangers = folder_mark.strangers(self.folder, self._files if mark else [lock.NAME])
        if strangers:
            raise ChooseError(
                f"{self.folder / strangers[0]} was not made by this program; choose another "
                "--folder. Nothing was changed"
            )

    def _claim(self) -> None:
        if folder_mark.read(self.folder) is None:
            place = str(self.folder.resolve())
            mark = Mark(folder_mark.MAGIC, folder_mark.VERSION, uuid4().hex, self._purpose, place, self._files)
            folder_mark.write(self.folder, mark)
