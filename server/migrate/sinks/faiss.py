"""A FAISS index (IndexFlatIP): row numbers are places, the ids beside it in `NAME.ids.jsonl`, one a line.

FAISS keeps whole numbers for ids at best. Vectors of unit length make the inner product the cosine.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from server.inference.engine import Vectors
from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.line_file import count, pick
from server.migrate.sinks.partial_folder import IDS, VECTORS, WHOLE, Growing
from server.migrate.sinks.sink import Sink, Target
from server.migrate.sinks.vector_rows import VectorRows

BLOCK = 1 << 16


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the file `output`."""
    return FaissSink(Path(output))


def ids_path(final: Path) -> Path:
    """Where the ids of the index at `final` are."""
    return final.with_name(f"{final.name}.ids.jsonl")


class FaissSink:
    """See `Sink`. Vectors grow in a `.npy` beside it, from which the index is made at the end, in memory."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.ids = ids_path(final)
        self._growing = Growing(final)
        self._rows = VectorRows(self._growing)

    def identity(self) -> str:
        """Return format and path."""
        return f"faiss {self.final.resolve()}"

    def files(self) -> list[Path]:
        """Name the files of the finished target."""
        return [self.final, self.ids]

    def open(self, target: Target) -> None:
        """Begin, or go on after the rows on record; a finished index stays as it is.

        Raises:
            MigrateError: something else is under that name, rows on record are missing, or FAISS is not installed.
        """
        optional.load("faiss")
        if self._growing.is_done(target, VECTORS, self.final):
            return  # killed after the folder was removed: nothing is left to write
        self._growing.claim(target, self.files())
        self._rows.open(target.dimension, target.written, self.ids)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows at their places beside the index to be.

        Raises:
            OSError: they could not be written whole.
        """
        self._rows.write(rows)

    def finish(self) -> None:
        """Make the index, rename the ids and, last, the index, and only then remove what it was made of."""
        self._rows.complete()
        if self._growing.holds(VECTORS):
            faiss = optional.load("faiss")
            vectors = np.load(self._growing.path(VECTORS), mmap_mode="r")
            index = faiss.IndexFlatIP(vectors.shape[1])
            for start in range(0, len(vectors), BLOCK):
                index.add(np.ascontiguousarray(vectors[start : start + BLOCK]))
            faiss.write_index(index, str(self._growing.fresh(WHOLE)))
            if self._growing.holds(IDS):
                self._growing.settle(IDS, self.ids)
            self._growing.settle(WHOLE, self.final)
        self._growing.remove()

    def count(self) -> int:
        """Count the vectors, of which each must have its id.

        Raises:
            MigrateError: there are more or fewer ids.
        """
        rows, ids = int(read_index(self.final).ntotal), count(self.ids)
        if rows != ids:
            raise MigrateError(f"{self.final} holds {rows} vectors, {self.ids} {ids} ids; run with --restart")
        return rows

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        """Read vectors back by place where the id there is the one asked for."""
        index = read_index(self.final)
        places = {id_: place for place, id_ in rows}
        there = (id_ for id_, line in pick(self.ids, dict(rows)) if orjson.loads(line) == id_)
        return {id_: index.reconstruct(places[id_]) for id_ in there}

    def close(self) -> None:
        """Let go of the files."""
        self._rows.close()
        self._growing.close()


def read_index(path: Path) -> Any:  # noqa: ANN401 - FAISS has no types
    """Open the index at `path` without reading it all into memory.

    Raises:
        MigrateError: FAISS cannot read it, or is not installed.
    """
    faiss = optional.load("faiss")
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise MigrateError(f"{path} is no FAISS index that can be read: {error}") from None
