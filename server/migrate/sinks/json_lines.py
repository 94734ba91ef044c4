"""JSONL: one row per line, `{"id", "text", "metadata", "embedding"}`, in input order.

Numbers are written as the shortest decimals that read back as the same float32 or float16; codes as integers.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import orjson

from server.inference.engine import Vectors
from server.migrate.record import Row
from server.migrate.sinks.line_file import LineFile, count, pick
from server.migrate.sinks.partial_folder import LINES, PartialFolder
from server.migrate.sinks.sink import Sink, Target


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the file `output`."""
    return JsonLinesSink(Path(output))


def read(final: Path) -> Iterator[Row]:
    """Yield the rows of a finished file."""
    with final.open("rb") as lines:
        for place, line in enumerate(lines):
            row = orjson.loads(line)
            vector = np.array(row["embedding"], np.float32)
            yield Row(place, row["id"], row["text"], vector, row.get("metadata", {}))


class JsonLinesSink:
    """Implements `Sink`. A resumed job truncates the file to the recorded rows."""

    def __init__(self, final: Path) -> None:
        self._final = final
        self._partial = PartialFolder(final)
        self._lines: LineFile | None = None

    def identity(self) -> str:
        """Return format and path."""
        return f"jsonl {self._final.resolve()}"

    def files(self) -> list[Path]:
        """Return the file of the finished target."""
        return [self._final]

    def open(self, target: Target) -> None:
        """Start, or resume after the recorded rows; a finished file is left unchanged.

        Raises:
            MigrateError: the name is taken, or recorded rows are missing.
        """
        if self._partial.is_done(target, LINES, self._final):
            return  # killed after the rename: nothing is left to write
        self._partial.claim(target, self.files())
        self._lines = LineFile(self._partial.path(LINES), target.written)

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, or replace the last ones written if they are the same rows.

        Raises:
            OSError: they could not be written whole.
        """
        if self._lines is None:
            raise RuntimeError("the sink is not open for writing")
        self._lines.write(rows[0].place, [_line(row) for row in rows])

    def finish(self) -> None:
        """Close the file and give it its final name."""
        if self._lines:
            self._lines.close()
            self._lines = None
            self._partial.settle(LINES, self._final)
        self._partial.remove()

    def count(self) -> int:
        """Count the rows."""
        return count(self._final)

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        """Read vectors back by place, leaving out those whose stored id is another one."""
        stored = ((id_, orjson.loads(line)) for id_, line in pick(self._final, dict(rows)))
        return {id_: np.array(row["embedding"], np.float32) for id_, row in stored if row["id"] == id_}

    def close(self) -> None:
        """Close the file and release the lock."""
        if self._lines:
            self._lines.close()
            self._lines = None
        self._partial.close()


def _line(row: Row) -> bytes:
    fields = {"id": row.id, "text": row.text}
    metadata = {"metadata": dict(row.metadata)} if row.metadata else {}
    body = {**fields, **metadata, "embedding": np.ascontiguousarray(row.vector)}
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
