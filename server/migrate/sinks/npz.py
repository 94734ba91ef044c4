"""NumPy's `.npz`: `embeddings`, [rows, width] in input order, `ids`, and the id of their `space`.

Vectors of another output type than float32 have `output_dtype` and, if they have one, `scale` beside them.
"""

import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files
from server.migrate.record import Row
from server.migrate.sinks.file import pick_rows
from server.migrate.sinks.partial_folder import IDS, VECTORS, WHOLE, PartialFolder
from server.migrate.sinks.sink import Sink, Target
from server.migrate.sinks.vector_rows import VectorRows
from server.service.output import Output

# NumPy pads every id to the longest.
LONGEST_ID = 1024
SPACE, DTYPE, SCALE = "space", "output_dtype", "scale"
ROWS = 1024
# A fixed date, so that the same vectors give the same bytes.
DATE = (1980, 1, 1, 0, 0, 0)


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the file `output`."""
    return NpzSink(Path(output))


def read(final: Path) -> Iterator[Row]:
    """Yield the rows of a finished file in blocks, with empty texts, which the format does not store."""
    with zipfile.ZipFile(final) as archive:
        pairs = zip(_array(archive, "ids"), _array(archive, "embeddings"), strict=True)
        for place, (id_, vector) in enumerate(pairs):
            yield Row(place, str(id_), "", vector)


def space(final: Path) -> str:
    """Return the id of the vectors' space; empty in files of earlier versions."""
    return _told(final).get(SPACE, "")


def output(final: Path) -> Output:
    """Return the type of the vectors.

    Raises:
        ValueError: it is none of this version's.
    """
    return Output.of_marks(_told(final), DTYPE, SCALE)


class NpzSink:
    """Implements `Sink`. Rows are collected in a `.npy` file, which is packed into the archive at the end."""

    def __init__(self, final: Path) -> None:
        self._final = final
        self._partial = PartialFolder(final)
        self._rows = VectorRows(self._partial)
        self._told: dict[str, str] = {}

    def identity(self) -> str:
        """Return format and path."""
        return f"npz {self._final.resolve()}"

    def files(self) -> list[Path]:
        """Return the file of the finished target."""
        return [self._final]

    def open(self, target: Target) -> None:
        """Start, or resume after the recorded rows; a finished file is left unchanged.

        Raises:
            MigrateError: the name is taken, or recorded rows are missing.
        """
        self._told = {SPACE: target.space, **target.output.marks(DTYPE, SCALE)}
        if self._partial.is_done(target, VECTORS, self._final):
            return  # killed after the folder was removed: nothing is left to write
        self._partial.claim(target, self.files())
        self._rows.open(target)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows at their places.

        Raises:
            MigrateError: an id is too long for this format.
            OSError: they could not be written whole.
        """
        if long := next((row.id for row in rows if len(row.id) > LONGEST_ID), None):
            raise MigrateError(f"the id {long[:40]}... is longer than {LONGEST_ID} characters; choose --format npy")
        self._rows.write(rows)

    def finish(self) -> None:
        """Write the archive, give it its final name, and remove the partial files."""
        self._rows.complete()
        if self._partial.holds(VECTORS):
            whole = owned_files.stream(self._partial.fresh(WHOLE))
            with whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
                with _member(archive, "embeddings") as member, self._partial.path(VECTORS).open("rb") as vectors:
                    shutil.copyfileobj(vectors, member, 1 << 20)
                with _member(archive, "ids") as member:
                    _write_ids(member, self._partial.path(IDS))
                for name, text in self._told.items():
                    with _member(archive, name) as member:
                        npy_format.write_array(member, np.array(text), allow_pickle=False)
            self._partial.settle(WHOLE, self._final)
        self._partial.remove()

    def count(self) -> int:
        """Count the vectors."""
        with zipfile.ZipFile(self._final) as archive, archive.open("embeddings.npy") as member:
            return _header(member)[0][0]

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, NDArray[Any]]:
        """Read vectors back by place, leaving out those whose stored id is another one."""
        return pick_rows(read(self._final), rows)

    def close(self) -> None:
        """Close the files and release the lock."""
        self._rows.close()
        self._partial.close()


def _told(final: Path) -> dict[str, str]:
    """Return the texts that the file holds beside vectors and ids, by name."""
    told: dict[str, str] = {}
    with zipfile.ZipFile(final) as archive:
        for name in (SPACE, DTYPE, SCALE):
            if f"{name}.npy" in archive.namelist():
                with archive.open(f"{name}.npy") as member:
                    told[name] = str(npy_format.read_array(member, allow_pickle=False))
    return told


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    with archive.open(zipfile.ZipInfo(f"{name}.npy", DATE), "w", force_zip64=True) as member:
        yield member


def _write_ids(member: IO[bytes], ids: Path) -> None:
    with ids.open("rb") as lines:
        lengths = [0, 0]
        for line in lines:
            lengths = [lengths[0] + 1, max(lengths[1], len(json.loads(line)))]
        dtype = np.dtype(f"<U{max(1, lengths[1])}")
        described = {"descr": dtype.str, "fortran_order": False, "shape": (lengths[0],)}
        npy_format.write_array_header_1_0(member, described)
        lines.seek(0)
        for line in lines:
            member.write(np.array(json.loads(line), dtype).tobytes())


def _array(archive: zipfile.ZipFile, name: str) -> Iterator[Any]:
    """Yield the rows of an array in an archive."""
    with archive.open(f"{name}.npy") as member:
        shape, dtype = _header(member)
        width = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        for start in range(0, shape[0], ROWS):
            rows = min(ROWS, shape[0] - start)
            block: NDArray[Any] = np.frombuffer(member.read(rows * width), dtype).reshape(rows, *shape[1:])
            yield from block


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    npy_format.read_magic(member)
    shape, _, dtype = npy_format.read_array_header_1_0(member)
    return shape, dtype
