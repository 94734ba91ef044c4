"""Merges the outputs of all shards into one, and verifies that every record is there exactly once."""

import dataclasses
import heapq
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from server.migrate.commands.job_files import check_places
from server.migrate.errors import MigrateError
from server.migrate.job import receipt
from server.migrate.job.journal import DTYPE, SCALE, SPACE, output_of
from server.migrate.job.receipt import Receipt
from server.migrate.job.workspace import JobWorkspace, check_own
from server.migrate.options import Options, job_folder
from server.migrate.outputs import READABLE, check_type, guess, open_sink, read
from server.migrate.ownership import owned_files
from server.migrate.pipeline.duplicate_ids import DuplicateIds
from server.migrate.pipeline.shard import Shard
from server.migrate.record import Record, Row
from server.migrate.sinks.file import FileSink, check_finals, finals
from server.migrate.sinks.sink import Sink, Target
from server.model.artifact import sha256
from server.model.output_types import COMPONENTS_PER_BYTE, FLOAT
from server.secret import Location
from server.service.output import Output

ROWS = 2048
TEXTLESS = ("npy", "npz")
# What shards of one job may differ in.
OWN = ("target", "shard")


def merge(options: Options) -> Receipt:
    """Merge the shards' outputs named by `options.merge`, in input order. An interrupted merge starts over.

    Raises:
        MigrateError: they are not all the shards of one job, or do not contain every record exactly once.
    """
    sink = open_sink(options.output.reveal(), options.format, options.fields)
    workspace = JobWorkspace(options.folder(sink.identity()), options.place(sink.identity()))
    check_places(options, sink, workspace.folder)
    with workspace.lock(), closing(sink):
        shards = sorted((_Finished(output, options) for output in options.merge), key=lambda shard: shard.shard.index)
        _check_family(shards)
        check_type(options.format, output_of(shards[0].job).kind.name)
        fresh = _begin(options, sink, workspace)
        rows = _write(sink, shards, workspace, fresh=fresh)
        _list_rejects(shards, workspace)
        workspace.hand_out_rejects(options.rejects.reveal())
        made = _receipt(sink, shards, rows) | {"rejects": str(workspace.rejects)}
        receipt.write(workspace.receipt, made)
        workspace.tidy()
        return made


def _begin(options: Options, sink: Sink, workspace: JobWorkspace) -> bool:
    """Clear an earlier unfinished merge; return whether existing output may be replaced (also with --restart)."""
    if options.rejects:
        check_own(workspace.made, Path(options.rejects.reveal()), "--rejects")
    if not options.restart and workspace.journal.exists():
        raise MigrateError(f"{workspace.folder} holds the journal of a job that is no merge; choose another --journal")
    replace = options.restart or not workspace.receipt.exists()
    check_finals(workspace.made, finals(sink), replace=replace)
    workspace.clear()
    return replace if isinstance(sink, FileSink) else options.restart


class _Finished:
    """One shard's finished output."""

    def __init__(self, output: Location, options: Options) -> None:
        self.output = output
        self.path = Path(output.reveal())
        self.format = guess(output.reveal())
        self.workspace = JobWorkspace(job_folder(output.reveal()))
        if self.format not in READABLE:
            raise MigrateError(f"--merge {output}: shards must be files, such as {', '.join(READABLE)}")
        if self.format in TEXTLESS and options.format not in {*TEXTLESS, "faiss"}:
            raise MigrateError(
                f"--merge {output}: {self.format} holds no texts, which {options.format} needs; write shards as jsonl"
            )
        try:
            self.receipt = receipt.read(self.workspace.receipt)
        except OSError:
            raise MigrateError(f"--merge {output}: no receipt, so this shard is not finished; run it") from None
        self.job: dict[str, str] = {DTYPE: FLOAT.name, **self.receipt["job"]}
        self.shard = Shard.parse(self.job["shard"])
        self.counts: dict[str, Any] = self.receipt["counts"]
        self._check_files()

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield each row with its ordinal, in order."""
        pairs = zip(self._ordinals(), read(str(self.path), self.format), strict=True)
        yield from ((ordinal, row) for ordinal, row in pairs)

    def rejected(self) -> Iterator[tuple[int, bytes]]:
        """Yield the ordinals of the rejected records, in order, each with its line in the list of rejects."""
        with self.workspace.rejects.open("rb") as lines:
            yield from ((orjson.loads(line)["record"], line) for line in lines)

    def _check_files(self) -> None:
        """Check the files against the shard's receipt, wherever they were copied to."""
        if self.path.name not in {Path(file["name"]).name for file in self.receipt["files"]}:
            raise MigrateError(f"--merge {self.output}: its receipt does not describe {self.path}; copy both again")
        for file in self.receipt["files"]:
            path = self.path.with_name(Path(file["name"]).name)
            if not path.is_file() or sha256(path) != file["sha256"]:
                raise MigrateError(f"--merge {self.output}: {path} is not what its receipt describes; copy it again")
        ordinals = self.workspace.ordinals
        if self.shard.count > 1 and (not ordinals.is_file() or ordinals.stat().st_size != 8 * self.counts["rows"]):
            raise MigrateError(f"--merge {self.output}: {ordinals} is not whole; copy the folder again")

    def _ordinals(self) -> Iterator[int]:
        path = self.workspace.ordinals if self.shard.count > 1 else None
        if path is None:
            raise MigrateError(f"--merge {self.output}: it is not a shard but the whole")
        with path.open("rb") as stream:
            while block := stream.read(8 * ROWS):
                yield from map(int, np.frombuffer(block, "<i8"))


def _check_family(shards: list[_Finished]) -> None:
    first = shards[0]
    for other in shards[1:]:
        # Shards of earlier versions say no space, but their graph's hash is in the model.
        names = {*first.job, *((SCALE,) if SCALE in other.job else ())}
        known = {name for name in names if name not in OWN and (name != SPACE or SPACE in other.job)}
        changed = sorted(name for name in known if first.job.get(name) != other.job.get(name))
        if changed or first.counts["input"] != other.counts["input"]:
            raise MigrateError(f"{other.output} and {first.output} are of different jobs: {', '.join(changed)}")
    have = [shard.shard.index for shard in shards]
    count = first.shard.count
    if {shard.shard.count for shard in shards} != {count} or have != list(range(1, count + 1)):
        raise MigrateError(f"--merge needs shards 1 to {count} of {count}, each once; these are {have}")


def _write(sink: Sink, shards: list[_Finished], workspace: JobWorkspace, *, fresh: bool) -> int:
    first = next((row for shard in shards for _, row in shard.rows()), None)
    job = shards[0].job
    output = output_of(job)
    width = len(first.vector) if first else 1
    dimension = width * COMPONENTS_PER_BYTE if output.kind.packed else width
    with closing(DuplicateIds(workspace.ids, Shard())) as seen:
        about = dimension, job["model"], job["precision"]
        sink.open(Target(*about, 0, fresh, workspace.made, job.get(SPACE, ""), output))
        ordered, written = _covered(shards), 0
        while rows := [_placed(row, written + at, output) for at, row in enumerate(islice(ordered, ROWS))]:
            _check_ids(seen, rows)
            sink.write(rows)
            written += len(rows)
        sink.finish()
        if sink.count() != written:
            raise MigrateError(f"{sink.identity()} holds {sink.count()} rows, {written} were written; run it again")
    return written


def _placed(row: Row, place: int, output: Output) -> Row:
    # JSONL does not say of which type its numbers are.
    return dataclasses.replace(row, place=place, vector=row.vector.astype(output.kind.dtype, copy=False))


def _covered(shards: list[_Finished]) -> Iterator[Row]:
    """Yield all rows in input order, and check that no record is missing or duplicated."""
    rows = heapq.merge(*(shard.rows() for shard in shards), key=lambda pair: pair[0])
    rejected = (ordinal for ordinal, _ in heapq.merge(*(shard.rejected() for shard in shards)))
    left_out = next(rejected, -1)
    expected, last = 0, -1
    for ordinal, row in rows:
        if ordinal != last:
            while left_out == expected:
                expected, left_out = expected + 1, next(rejected, -1)
            if ordinal != expected:
                raise MigrateError(f"record {expected} is in no shard, or record {ordinal} in two")
            expected, last = expected + 1, ordinal
        yield row
    while left_out == expected:
        expected, left_out = expected + 1, next(rejected, -1)
    if expected != shards[0].counts["input"] or left_out != -1:
        raise MigrateError(f"the shards hold {expected} of {shards[0].counts['input']} records")


def _list_rejects(shards: list[_Finished], workspace: JobWorkspace) -> None:
    with owned_files.stream(workspace.rejects) as listed:
        listed.writelines(line for _, line in heapq.merge(*(shard.rejected() for shard in shards)))


def _check_ids(seen: DuplicateIds, rows: list[Row]) -> None:
    repeated = seen.repeats([Record(row.place, row.id, None) for row in rows])
    if repeated:
        place, what = next(iter(repeated.items()))
        raise MigrateError(f"row {place} of the union: {what}")


def _receipt(sink: Sink, shards: list[_Finished], rows: int) -> Receipt:
    counts = {name: sum(shard.counts[name] for shard in shards) for name in receipt.COUNTED}
    cosines = (shard.receipt["verified"]["least_cosine"] for shard in shards)
    verified = {
        "rows": rows,
        "sample": sum(shard.receipt["verified"]["sample"] for shard in shards),
        "least_cosine": min((cosine for cosine in cosines if cosine is not None), default=None),
    }
    return {
        **shards[0].receipt,
        "job": {**shards[0].job, "target": sink.identity(), "shard": "1/1"},
        "counts": {**counts, "input": shards[0].counts["input"]},
        "verified": verified,
        "files": receipt.files(sink) if isinstance(sink, FileSink) else [],
        "seconds": sum(shard.receipt["seconds"] for shard in shards),
        "finished": receipt.now(),
    }
