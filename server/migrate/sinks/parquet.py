"""Parquet: columns `id`, `text`, `embedding` (fixed-size list), `metadata` (JSON), in input order.

The file's key-value metadata has the id of the vectors' embedding space, as `embedding_space`, and, if they are not
float32, their type and scale.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files
from server.migrate.record import Row
from server.migrate.sinks.file import pick_rows
from server.migrate.sinks.partial_folder import PARTS, WHOLE, PartialFolder
from server.migrate.sinks.sink import Sink, Target
from server.model import staging
from server.service.output import FLOAT32, Output

ROWS = 1024
SUFFIX = ".parquet"
SPACE, DTYPE, SCALE = "embedding_space", "embedding_dtype", "embedding_scale"


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the file `output`."""
    return ParquetSink(Path(output))


def read(final: Path) -> Iterator[Row]:
    """Yield the rows of a finished file in batches."""
    place = 0
    with optional.load("pyarrow.parquet").ParquetFile(final) as file:
        for batch in file.iter_batches(ROWS):
            vectors = _vectors(batch.column("embedding"))
            for row, vector in zip(batch.drop_columns("embedding").to_pylist(), vectors, strict=True):
                metadata = orjson.loads(row["metadata"]) if row["metadata"] else {}
                yield Row(place, row["id"], row["text"], vector, metadata)
                place += 1


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """The column `embedding`: vectors of `dimension` components in the form `output`, of `space`."""

    dimension: int
    space: str = ""
    output: Output = FLOAT32


class ParquetSink:
    """Implements `Sink`. Each write is a part file, created atomically; at the end the parts become row groups."""

    def __init__(self, final: Path) -> None:
        self._final = final
        self._partial = PartialFolder(final)
        self._parts = self._partial.path(PARTS)
        self._column = VectorColumn(0)
        self._parquet: Any = None

    def identity(self) -> str:
        """Return format and path."""
        return f"parquet {self._final.resolve()}"

    def files(self) -> list[Path]:
        """Return the file of the finished target."""
        return [self._final]

    def open(self, target: Target) -> None:
        """Start, or resume after the recorded rows, removing any parts beyond them.

        Raises:
            MigrateError: the name is taken, recorded rows are missing, or pyarrow is not installed.
        """
        self._parquet = optional.load("pyarrow.parquet")
        self._column = VectorColumn(target.dimension, target.space, target.output)
        if self._partial.is_done(target, PARTS, self._final):
            return  # killed after the folder was removed: nothing is left to write
        self._partial.claim(target, self.files())
        self._parts.mkdir(exist_ok=True)
        for path in self._parts.iterdir():
            if path.suffix != SUFFIX or int(path.stem) >= target.written:
                owned_files.remove(path)
        held = sum(self._parquet.read_metadata(part).num_rows for part in self._sorted())
        if held != target.written:
            raise MigrateError(f"{self._parts} holds {held} of {target.written} rows on record; run with --restart")

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows as one part and flush it to disk.

        Raises:
            OSError: it could not be written.
        """
        part = self._parts / f"{rows[0].place:015d}{SUFFIX}"
        fresh = part.with_suffix(".new")
        owned_files.remove(fresh)
        with owned_files.stream(fresh) as stream:
            self._parquet.write_table(table(rows, self._column), stream)
        staging.flush(fresh)
        fresh.replace(part)
        staging.flush(self._parts)

    def finish(self) -> None:
        """Merge the parts, give the file its final name, and remove the parts with their folder."""
        if self._parts.exists():
            whole = owned_files.stream(self._partial.fresh(WHOLE))
            with whole, self._parquet.ParquetWriter(whole, schema(self._column)) as writer:
                for part in self._sorted():
                    # Parts of a job that an earlier version began have no metadata.
                    writer.write_table(self._parquet.read_table(part).replace_schema_metadata(_keys(self._column)))
            self._partial.settle(WHOLE, self._final)
        self._partial.remove()

    def count(self) -> int:
        """Count the rows."""
        return int(self._parquet.read_metadata(self._final).num_rows)

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, NDArray[Any]]:
        """Read vectors back by place, leaving out those whose stored id is another one."""
        return pick_rows(read(self._final), rows)

    def close(self) -> None:
        """Release the lock; no file stays open between two writes."""
        self._partial.close()

    def _sorted(self) -> list[Path]:
        return sorted(self._parts.glob(f"*{SUFFIX}"))


def space(final: Path) -> str:
    """Return the id of the vectors' embedding space; empty in files of earlier versions."""
    return _told(final).get(SPACE, "")


def output(final: Path) -> Output:
    """Return the type of the vectors.

    Raises:
        ValueError: it is none of this version's.
    """
    return Output.of_marks(_told(final), DTYPE, SCALE)


def schema(column: VectorColumn) -> Any:  # noqa: ANN401 - Arrow's type
    """Return the columns of an output with vectors of `column`."""
    arrow, kind = optional.load("pyarrow"), column.output.kind
    text = {name: arrow.string() for name in ("id", "text")}
    vector = arrow.list_(arrow.from_numpy_dtype(kind.dtype), kind.width(column.dimension))
    return arrow.schema({**text, "embedding": vector, "metadata": arrow.string()}, metadata=_keys(column))


def table(rows: Sequence[Row], column: VectorColumn) -> Any:  # noqa: ANN401 - Arrow's type
    """Return rows as an Arrow table of `schema`."""
    arrow, kind = optional.load("pyarrow"), column.output.kind
    flat = arrow.array(np.concatenate([np.empty(0, kind.dtype), *(row.vector for row in rows)]))
    metadata = [orjson.dumps(dict(row.metadata)).decode() if row.metadata else None for row in rows]
    columns = [
        arrow.array([row.id for row in rows], arrow.string()),
        arrow.array([row.text for row in rows], arrow.string()),
        arrow.FixedSizeListArray.from_arrays(flat, kind.width(column.dimension)),
        arrow.array(metadata, arrow.string()),
    ]
    return arrow.Table.from_arrays(columns, schema=schema(column))


def _keys(column: VectorColumn) -> dict[str, str] | None:
    space = {SPACE: column.space} if column.space else {}
    return {**space, **column.output.marks(DTYPE, SCALE)} or None


def _told(final: Path) -> dict[str, str]:
    keys = optional.load("pyarrow.parquet").read_metadata(final).metadata or {}
    return {name: keys[name.encode()].decode() for name in (SPACE, DTYPE, SCALE) if name.encode() in keys}


def _vectors(column: Any) -> NDArray[Any]:  # noqa: ANN401 - Arrow's type
    vectors: NDArray[Any] = column.flatten().to_numpy().reshape(len(column), -1)
    return vectors
