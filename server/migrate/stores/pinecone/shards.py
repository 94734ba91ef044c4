"""Writes a folder of files of one Pinecone upsert each: JSONL, or Parquet if the folder's name ends in `.parquet`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from server.inference.engine import Vectors
from server.migrate import optional
from server.migrate.errors import MigrateError
from server.migrate.ownership import owned_files
from server.migrate.record import Row
from server.migrate.sinks.partial_folder import PartialFolder
from server.migrate.sinks.sink import Sink, Target
from server.migrate.stores import keys
from server.migrate.stores.claim import COMPLETE, ClaimStep, ExistingCollection, decide, mark
from server.migrate.stores.pinecone.open import Record, requests
from server.migrate.stores.pinecone.record import record

MARK = "migration.json"
PARQUET = ".parquet"
# The place of the first row, and the number of rows.
SHARD = re.compile(r"rows-([0-9]{12})-([0-9]{4})\.(?:jsonl|parquet)")


def make(output: str, _options: Mapping[str, str]) -> Sink:
    """Write to the folder `output`."""
    return PineconeShards(Path(output))


class PineconeShards:
    """Implements `Sink`. A shard never spans two writes, so that each write can be repeated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._partial = PartialFolder(folder)
        self._suffix = PARQUET if folder.suffix == PARQUET else ".jsonl"
        self._target: Target

    def identity(self) -> str:
        """Return format and path."""
        return f"pinecone shards {self.folder.resolve()}"

    def files(self) -> list[Path]:
        """Return the files of the finished target."""
        return [*(path for _, _, path in self._shards()), self.folder / MARK]

    def open(self, target: Target) -> None:
        """Open or create the folder, and remove shards beyond the recorded rows."""
        self._target = target
        self._partial.claim(target)
        try:
            step = decide(self._held(), target, str(self.folder))
        except MigrateError:
            self._partial.remove()
            raise
        if step is not ClaimStep.CREATE:
            self._cut(0 if step is ClaimStep.REPLACE else target.written)
        if step is not ClaimStep.CONTINUE:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._put(self.folder / MARK, orjson.dumps(mark(target)))
        held = sum(rows for _, rows, _ in self._shards())
        if held != target.written:
            raise MigrateError(f"{self.folder} has {held} rows of {target.written} on record; run with --restart")

    def write(self, rows: Sequence[Row]) -> None:
        """Write `rows` as new shards, replacing any shards that begin at their place or later.

        Raises:
            OSError: a shard could not be written.
        """
        self._cut(rows[0].place)
        place = rows[0].place
        for batch in requests(record(row, self._target.space) for row in rows):
            path = self.folder / f"rows-{place:012d}-{len(batch):04d}{self._suffix}"
            self._put(path, self._parquet(batch) if self._suffix == PARQUET else _lines(batch))
            place += len(batch)

    def finish(self) -> None:
        """Mark the folder complete."""
        self._put(self.folder / MARK, orjson.dumps(mark(self._target, COMPLETE)))
        self._partial.remove()

    def count(self) -> int:
        """Count the rows by reading every shard."""
        return sum(len(self._read(path)) for _, _, path in self._shards())

    def fetch(self, rows: Sequence[tuple[int, str]]) -> Mapping[str, Vectors]:
        """Read vectors back by place, leaving out those whose stored id is another one."""
        wanted = dict(rows)
        vectors: dict[str, Vectors] = {}
        for start, count, path in self._shards():
            asked = {place: wanted[place] for place in range(start, start + count) if place in wanted}
            held = self._read(path) if asked else []
            for place, id_ in asked.items():
                if held[place - start]["id"] == keys.pinecone_key(id_):
                    vectors[id_] = np.asarray(held[place - start]["values"], np.float32)
        return vectors

    def close(self) -> None:
        """Release the lock on the output; no file stays open."""
        self._partial.close()

    def _held(self) -> ExistingCollection | None:
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return None
        path = self.folder / MARK
        marks = orjson.loads(path.read_bytes()) if path.exists() else None
        return ExistingCollection(marks, None, sum(rows for _, rows, _ in self._shards()))

    def _shards(self) -> Iterator[tuple[int, int, Path]]:
        for path in sorted(self.folder.iterdir()):
            if match := SHARD.fullmatch(path.name):
                yield int(match[1]), int(match[2]), path

    def _cut(self, place: int) -> None:
        for start, _, path in list(self._shards()):
            if start >= place:
                owned_files.remove(path)

    def _put(self, path: Path, data: bytes) -> None:
        owned_files.put(path, data)

    def _parquet(self, batch: Sequence[Record]) -> bytes:
        arrow, parquet = optional.load("pyarrow"), optional.load("pyarrow.parquet")
        ids = [one["id"] for one in batch]
        values = arrow.array([one["values"] for one in batch], arrow.list_(arrow.float32()))
        metadata = [orjson.dumps(one["metadata"]).decode() for one in batch]
        buffer = arrow.BufferOutputStream()
        parquet.write_table(arrow.table({"id": ids, "values": values, "metadata": metadata}), buffer)
        data: bytes = buffer.getvalue().to_pybytes()
        return data

    def _read(self, path: Path) -> list[Any]:
        if path.suffix == PARQUET:
            rows: list[Any] = optional.load("pyarrow.parquet").read_table(path).to_pylist()
            return rows
        return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _lines(batch: Sequence[Record]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in batch)
