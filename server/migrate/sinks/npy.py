"""NumPy's `.npy`: vectors [rows, width] of any output type in input order; ids in `NAME.ids.jsonl`, one per line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.line_file import count, pick
from server.migrate.sinks.partial_folder import IDS, VECTORS, PartialFolder
from server.migrate.sinks.sink import Sink, Target
from server.migrate.sinks.vector_rows import VectorRows

BLOCK_ROWS = 1024


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the file `output`."""
    return NpySink(Path(output))


def ids_path(final: Path) -> Path:
    """Return the path of the ids of the vectors at `final`."""
    return final.with_name(f"{final.name.removesuffix('.npy')}.ids.jsonl")


def read(final: Path) -> Iterator[Row]:
    """Yield the rows of a finished file, with empty texts, which the format does not store."""
    with final.open("rb") as stream, ids_path(final).open("rb") as lines:
        for place, (line, vector) in enumerate(zip(lines, _vectors(stream), strict=True)):
            yield Row(place, orjson.loads(line), "", vector)


class NpySink:
    """Implements `Sink`. Ids and vectors get their final names at the end, the vectors last."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.ids = ids_path(final)
        self._partial = PartialFolder(final)
        self._rows = VectorRows(self._partial)

    def identity(self) -> str:
        """Return format and path."""
        return f"npy {self.final.resolve()}"

    def files(self) -> list[Path]:
        """Return the files of the finished target."""
        return [self.final, self.ids]

    def open(self, target: Target) -> None:
        """Start, or resume after the recorded rows; a finished file is left unchanged.

        Raises:
            MigrateError: the name is taken, or recorded rows are missing.
        """
        if self._partial.is_done(target, VECTORS, self.final):
            return  # killed after the last rename: nothing is left to write
        self._partial.claim(target, self.files())
        self._rows.open(target, self.ids)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows at their places.

        Raises:
            OSError: they could not be written whole.
        """
        self._rows.write(rows)

    def finish(self) -> None:
        """Complete both files, and rename first the ids and then the vectors."""
        self._rows.complete()
        if self._partial.holds(IDS):
            self._partial.settle(IDS, self.ids)
        if self._partial.holds(VECTORS):
            self._partial.settle(VECTORS, self.final)
        self._partial.remove()

    def count(self) -> int:
        """Count the vectors, and check that there are as many ids.

        Raises:
            MigrateError: the numbers differ.
        """
        with self.final.open("rb") as stream:
            rows, ids = _header(stream)[0][0], count(self.ids)
        if rows != ids:
            raise MigrateError(f"{self.final} holds {rows} vectors, {self.ids} {ids} ids; run with --restart")
        return rows

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, NDArray[Any]]:
        """Read vectors back by place, leaving out those whose stored id is another one."""
        places = {id_: place for place, id_ in rows}
        matching = [id_ for id_, line in pick(self.ids, dict(rows)) if json.loads(line) == id_]
        # Read rather than memory-mapped: mapped pages count as memory of the process.
        with self.final.open("rb") as stream:
            (_, width), dtype = _header(stream)
            start, size = stream.tell(), width * dtype.itemsize
            return {id_: _row(stream, start + places[id_] * size, width, dtype) for id_ in matching}

    def close(self) -> None:
        """Close the files and release the lock."""
        self._rows.close()
        self._partial.close()


def _header(stream: BinaryIO) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Read the header and return rows and width, and the type; the stream is then at the first vector."""
    npy_format.read_magic(stream)
    (rows, width), _, dtype = npy_format.read_array_header_1_0(stream)
    return (rows, width), dtype


def _vectors(stream: BinaryIO) -> Iterator[NDArray[Any]]:
    (count, width), dtype = _header(stream)
    for start in range(0, count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, count - start)
        yield from np.fromfile(stream, dtype, rows * width).reshape(rows, width)


def _row(stream: BinaryIO, offset: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    stream.seek(offset)
    return np.fromfile(stream, dtype, width)
