"""A FAISS index (IndexFlatIP) whose row numbers are places, with the ids beside it in `NAME.ids.jsonl`, one per line.

FAISS itself stores only integer ids. Vectors have unit length, so the inner product is the cosine.
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
from server.migrate.sinks.partial_folder import IDS, VECTORS, WHOLE, PartialFolder
from server.migrate.sinks.sink import Sink, Target
from server.migrate.sinks.vector_rows import VectorRows

BLOCK = 1 << 16


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the file `output`."""
    return FaissSink(Path(output))


def ids_path(final: Path) -> Path:
    """Return the path of the ids of the index at `final`."""
    return final.with_name(f"{final.name}.ids.jsonl")


class FaissSink:
    """Implements `Sink`. Vectors are collected in a `.npy` file, from which the index is built in memory at the end."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.ids = ids_path(final)
        self._partial = PartialFolder(final)
        self._rows = VectorRows(self._partial)

    def identity(self) -> str:
        """Return format and path."""
        return f"faiss {self.final.resolve()}"

    def files(self) -> list[Path]:
        """Return the files of the finished target."""
        return [self.final, self.ids]

    def open(self, target: Target) -> None:
        """Start, or resume after the recorded rows; a finished index is left unchanged.

        Raises:
            MigrateError: the name is taken, recorded rows are missing, or FAISS is not installed.
        """
        optional.load("faiss")
        if self._partial.is_done(target, VECTORS, self.final):
            return  # killed after the folder was removed: nothing is left to write
        self._partial.claim(target, self.files())
        self._rows.open(target.dimension, target.written, self.ids)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows at their places in the partial files.

        Raises:
            OSError: they could not be written whole.
        """
        self._rows.write(rows)

    def finish(self) -> None:
        """Build the index, rename first the ids and then the index, and remove the partial files last."""
        self._rows.complete()
        if self._partial.holds(VECTORS):
            faiss = optional.load("faiss")
            vectors = np.load(self._partial.path(VECTORS), mmap_mode="r")
            index = faiss.IndexFlatIP(vectors.shape[1])
            for start in range(0, len(vectors), BLOCK):
                index.add(np.ascontiguousarray(vectors[start : start + BLOCK]))
            faiss.write_index(index, str(self._partial.fresh(WHOLE)))
            if self._partial.holds(IDS):
                self._partial.settle(IDS, self.ids)
            self._partial.settle(WHOLE, self.final)
        self._partial.remove()

    def count(self) -> int:
        """Count the vectors, and check that there are as many ids.

        Raises:
            MigrateError: the numbers differ.
        """
        rows, ids = int(read_index(self.final).ntotal), count(self.ids)
        if rows != ids:
            raise MigrateError(f"{self.final} holds {rows} vectors, {self.ids} {ids} ids; run with --restart")
        return rows

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        """Read vectors back by place, leaving out those whose stored id is another one."""
        index = read_index(self.final)
        places = {id_: place for place, id_ in rows}
        matching = (id_ for id_, line in pick(self.ids, dict(rows)) if orjson.loads(line) == id_)
        return {id_: index.reconstruct(places[id_]) for id_ in matching}

    def close(self) -> None:
        """Close the files and release the lock."""
        self._rows.close()
        self._partial.close()


def read_index(path: Path) -> Any:  # noqa: ANN401 - FAISS has no types
    """Open the index at `path` without reading it all into memory.

    Raises:
        MigrateError: FAISS cannot read the file, or is not installed.
    """
    faiss = optional.load("faiss")
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise MigrateError(f"{path} is no FAISS index that can be read: {error}") from None
