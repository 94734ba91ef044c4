"""A FAISS index whose row numbers are places, with the ids beside it in `NAME.ids.jsonl`, one per line.

FAISS itself stores only integer ids. Every index is searched exactly: `IndexFlatIP`, a scalar quantizer that stores
float16 or the codes as they are, or `IndexBinaryFlat`. Vectors have unit length, so the inner product is the cosine;
codes of uint8 have it not, because of their zero at 128, and are compared by their distance.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.line_file import count, pick
from server.migrate.sinks.partial_folder import IDS, VECTORS, WHOLE, PartialFolder
from server.migrate.sinks.sink import Sink, Target
from server.migrate.sinks.vector_rows import VectorRows
from server.model.output_types import COMPONENTS_PER_BYTE, FLOAT, OutputName, OutputType

BLOCK = 1 << 16
# The names of FAISS's scalar quantizers that need no training, and of their metrics.
QUANTIZERS: dict[OutputName, tuple[str, str]] = {
    "float16": ("QT_fp16", "METRIC_INNER_PRODUCT"),
    "int8": ("QT_8bit_direct_signed", "METRIC_INNER_PRODUCT"),
    "uint8": ("QT_8bit_direct", "METRIC_L2"),
}
# What a file of an IndexBinaryFlat begins with.
BINARY = b"IBxF"


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
        self._kind = FLOAT

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
        self._kind = target.output.kind
        if self._partial.is_done(target, VECTORS, self.final):
            return  # killed after the folder was removed: nothing is left to write
        self._partial.claim(target, self.files())
        self._rows.open(target, self.ids)

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
            vectors = np.load(self._partial.path(VECTORS), mmap_mode="r")
            _write_index(vectors, self._kind, self._partial.fresh(WHOLE))
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

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, NDArray[Any]]:
        """Read vectors back by place, leaving out those whose stored id is another one."""
        index = read_index(self.final)
        places = {id_: place for place, id_ in rows}
        matching = (id_ for id_, line in pick(self.ids, dict(rows)) if orjson.loads(line) == id_)
        return {id_: index.reconstruct(places[id_]) for id_ in matching}

    def close(self) -> None:
        """Close the files and release the lock."""
        self._rows.close()
        self._partial.close()


def _write_index(vectors: NDArray[Any], kind: OutputType, path: Path) -> None:
    faiss, width = optional.load("faiss"), vectors.shape[1]
    if kind.packed:
        index = faiss.IndexBinaryFlat(width * COMPONENTS_PER_BYTE)
    elif kind.name in QUANTIZERS:
        quantizer, metric = QUANTIZERS[kind.name]
        index = faiss.IndexScalarQuantizer(width, getattr(faiss.ScalarQuantizer, quantizer), getattr(faiss, metric))
    else:
        index = faiss.IndexFlatIP(width)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        index.add(np.ascontiguousarray(block, None if kind.packed else np.float32))
    write = faiss.write_index_binary if kind.packed else faiss.write_index
    write(index, str(path))


def read_index(path: Path) -> Any:  # noqa: ANN401 - FAISS has no types
    """Open the index at `path`, of floats or of bits, without reading it all into memory.

    Raises:
        MigrateError: FAISS cannot read the file, or is not installed.
    """
    faiss = optional.load("faiss")
    with path.open("rb") as stream:
        read = faiss.read_index_binary if stream.read(len(BINARY)) == BINARY else faiss.read_index
    try:
        return read(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise MigrateError(f"{path} is no FAISS index that can be read: {error}") from None


def type_of(index: Any) -> OutputName:  # noqa: ANN401 - FAISS has no types
    """Return the type of the vectors that an index of `read_index` holds; float32 if it returns them as floats."""
    faiss = optional.load("faiss")
    if isinstance(index, faiss.IndexBinary):
        return "ubinary"
    if not isinstance(index, faiss.IndexScalarQuantizer):
        return FLOAT.name
    held = {getattr(faiss.ScalarQuantizer, quantizer): name for name, (quantizer, _) in QUANTIZERS.items()}
    return held.get(index.sq.qtype, FLOAT.name)
