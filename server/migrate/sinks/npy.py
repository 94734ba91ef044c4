"""NumPy's `.npy`: float32 [rows, dimension] in input order, the ids beside it in `NAME.ids.jsonl`, one a line."""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import orjson
from numpy.lib import format as npy_format

from server.engine import Vectors
from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.file import check_new, partial, settle
from server.migrate.sinks.line_file import LineFile, count, pick
from server.migrate.sinks.sink import Sink, Target

BLOCK_ROWS = 1024


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the file `output`."""
    return NpySink(Path(output))


def ids_path(final: Path) -> Path:
    """Where the ids of the vectors at `final` are."""
    return final.with_name(f"{final.name.removesuffix('.npy')}.ids.jsonl")


def read(final: Path) -> Iterator[Row]:
    """Yield the rows of a finished file; their texts are not in it."""
    with final.open("rb") as stream, ids_path(final).open("rb") as lines:
        shape = _shape(stream)
        for place, (line, vector) in enumerate(zip(lines, _vectors(stream, shape), strict=True)):
            yield Row(place, orjson.loads(line), "", vector)


class NpySink:
    """Rows at their places after a header that is written last."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.ids = ids_path(final)
        self._dimension = 0
        self._rows = 0
        self._vectors = -1
        self._lines: LineFile | None = None

    def identity(self) -> str:
        """Return format and path."""
        return f"npy {self.final.resolve()}"

    def files(self) -> list[Path]:
        """Name the files of the finished target."""
        return [self.final, self.ids]

    def open(self, target: Target) -> None:
        """Begin, or go on after the rows on record; a finished file stays as it is.

        Raises:
            MigrateError: something else is under that name, or rows on record are missing.
        """
        self._dimension, self._rows = target.dimension, target.written
        if target.written and not partial(self.final).exists() and self.final.exists():
            return  # killed after the last rename: nothing is left to write
        if not target.written and not target.fresh:
            check_new(self.final)
        self._vectors = os.open(partial(self.final), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._vectors).st_size < self._offset(target.written) and target.written:
            raise MigrateError(f"{partial(self.final)} lacks rows that are on record; run with --restart")
        os.ftruncate(self._vectors, self._offset(target.written))
        # Killed between the two renames, the ids have their final name already.
        ids = partial(self.ids) if not target.written or partial(self.ids).exists() else self.ids
        self._lines = LineFile(ids, target.written)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows at their places.

        Raises:
            OSError: they could not be written whole.
        """
        if self._lines is None:
            raise RuntimeError("the sink is not open for writing")
        data = np.stack([row.vector for row in rows]).astype("<f4", copy=False).tobytes()
        if os.pwrite(self._vectors, data, self._offset(rows[0].place)) != len(data):
            raise OSError("not all vectors could be written; free space on the disk")
        os.fsync(self._vectors)
        self._lines.write(rows[0].place, [json.dumps(row.id).encode() + b"\n" for row in rows])
        self._rows = rows[-1].place + 1

    def finish(self) -> None:
        """Write the header, then rename the ids and, last, the vectors."""
        if self._vectors < 0:
            return
        os.pwrite(self._vectors, header(self._rows, self._dimension), 0)
        os.fsync(self._vectors)
        self.close()
        if partial(self.ids).exists():
            settle(partial(self.ids), self.ids)
        settle(partial(self.final), self.final)

    def count(self) -> int:
        """Count the vectors, of which each must have its id.

        Raises:
            MigrateError: there are more or fewer ids.
        """
        with self.final.open("rb") as stream:
            rows, ids = _shape(stream)[0], count(self.ids)
        if rows != ids:
            raise MigrateError(f"{self.final} holds {rows} vectors, {self.ids} {ids} ids; run with --restart")
        return rows

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        """Read vectors back by place where the id there is the one asked for."""
        places = {id_: place for place, id_ in rows}
        there = [id_ for id_, line in pick(self.ids, dict(rows)) if json.loads(line) == id_]
        # Read rather than mapped: pages of a mapped file count as memory of the process.
        with self.final.open("rb") as stream:
            shape = _shape(stream)
            start = stream.tell()
            return {id_: _row(stream, start + places[id_] * shape[1] * 4, shape[1]) for id_ in there}

    def close(self) -> None:
        """Let go of the files."""
        if self._lines:
            self._lines.close()
            self._lines = None
        if self._vectors >= 0:
            os.close(self._vectors)
            self._vectors = -1

    def _offset(self, place: int) -> int:
        return len(header(0, self._dimension)) + place * self._dimension * 4


def header(rows: int, dimension: int) -> bytes:
    """Return a `.npy` header, which NumPy makes equally long for any number of rows."""
    stream = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    npy_format.write_array_header_1_0(stream, shape)
    return stream.getvalue()


def _shape(stream: BinaryIO) -> tuple[int, int]:
    """Read the header: rows and dimension; the vectors come next."""
    npy_format.read_magic(stream)
    (rows, dimension), _, _ = npy_format.read_array_header_1_0(stream)
    return rows, dimension


def _vectors(stream: BinaryIO, shape: tuple[int, int]) -> Iterator[Vectors]:
    for start in range(0, shape[0], BLOCK_ROWS):
        rows = min(BLOCK_ROWS, shape[0] - start)
        yield from np.fromfile(stream, "<f4", rows * shape[1]).reshape(rows, shape[1])


def _row(stream: BinaryIO, offset: int, dimension: int) -> Vectors:
    stream.seek(offset)
    return np.fromfile(stream, "<f4", dimension)
