"""Runs a migration: reads a window of records, writes its rows, then its journal entry; verifies at the end."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import orjson

from server.errors import InferenceError
from server.inference.engine import Ids, Vectors
from server.migrate.commands.job_files import check_places
from server.migrate.commands.model import JobModel
from server.migrate.commands.progress import Progress
from server.migrate.errors import MigrateError
from server.migrate.inputs import open_source
from server.migrate.job import journal, receipt, sample
from server.migrate.job.journal import Header, Journal, JournalEntry, Recovered
from server.migrate.job.receipt import Receipt
from server.migrate.job.side_file import SideFile
from server.migrate.job.verify import verify
from server.migrate.job.workspace import JobWorkspace, check_own
from server.migrate.options import Options
from server.migrate.outputs import open_sink
from server.migrate.pipeline.duplicate_ids import DuplicateIds
from server.migrate.pipeline.embed import Embedder
from server.migrate.pipeline.parallel_engine import ParallelEngine
from server.migrate.pipeline.prefetch import ahead
from server.migrate.pipeline.prepare import Prepared, refusal
from server.migrate.pipeline.vector_memo import VectorMemo
from server.migrate.pipeline.window import windows
from server.migrate.record import Row
from server.migrate.sinks.file import FileSink, check_finals, finals
from server.migrate.sinks.sink import Sink, Target
from server.migrate.sources.source import Source, checked
from server.settings import Settings

AGAIN = "Nothing is lost: run the same command again, without --restart, to go on"


@dataclass(frozen=True, slots=True)
class MigrationJob:
    """The parts of a job that stay the same from the first window to the receipt."""

    options: Options
    model: JobModel
    source: Source
    sink: Sink
    workspace: JobWorkspace


def migrate(options: Options, settings: Settings) -> Receipt:
    """Run the job that `options` describe, or resume it.

    Raises:
        MigrateError: the job is refused, or cannot continue.
        StartError, InvalidError: the model cannot be used as asked.
    """
    sink = open_sink(options.output.reveal(), options.format, options.fields)
    workspace = JobWorkspace(options.folder(sink.identity()), options.place(sink.identity()))
    check_places(options, sink, workspace.folder)
    with workspace.lock(), closing(sink), ExitStack() as stack:
        source = stack.enter_context(closing(open_source(options.input.reveal(), options.input_format, options.fields)))
        job = MigrationJob(options, JobModel(options, settings), source, sink, workspace)
        recovered = _begin(job, wanted := _describe(job))
        if recovered and recovered.last.finished:
            return _finished(job)
        runner, batch_tokens = job.model.start()
        with closing(_open_journal(job, recovered, wanted, batch_tokens)) as journal_:
            return _run(job, journal_, runner)


def _describe(job: MigrationJob) -> dict[str, str]:
    ends = {"input": job.source.identity(), "target": job.sink.identity()}
    return {**ends, **job.model.described(), **job.options.decisive()}


def _begin(job: MigrationJob, wanted: Mapping[str, str]) -> Recovered | None:
    """Check the output paths and read the journal; with --restart, clear the earlier job first."""
    options, workspace = job.options, job.workspace
    if options.rejects:
        check_own(workspace.made, Path(options.rejects.reveal()), "--rejects")
    if options.restart:
        workspace.check_alone()
        check_finals(workspace.made, finals(job.sink), replace=True)
        workspace.clear()
    recovered = _recover(job, wanted)
    check_finals(workspace.made, finals(job.sink), replace=options.restart or recovered is not None)
    return recovered


def _recover(job: MigrationJob, wanted: Mapping[str, str]) -> Recovered | None:
    """Read the journal of an earlier run, and check that it is of the same job."""
    recovered = journal.recover(job.workspace.journal)
    changed = journal.differences(recovered.header.job, wanted) if recovered else []
    if changed:
        raise MigrateError(
            "\n".join(f"not the job that was begun: {line}" for line in changed)
            + f"\nGo back to what it was, choose another --output, or {_restart(job.sink)}"
        )
    return recovered


def _restart(sink: Sink) -> str:
    """Return how to start over: a collection of another model or type is never replaced."""
    return "start over with --restart" if isinstance(sink, FileSink) else "delete the collection and use --restart"


def _finished(job: MigrationJob) -> Receipt:
    lost = [path for path in job.sink.files() if not path.exists()] if isinstance(job.sink, FileSink) else []
    if lost:
        raise MigrateError(f"this job was finished earlier, but {lost[0]} is gone; run with --restart")
    return receipt.read(job.workspace.receipt)


def _open_journal(job: MigrationJob, recovered: Recovered | None, wanted: dict[str, str], batch_tokens: int) -> Journal:
    if recovered:
        return Journal(job.workspace.journal, recovered)
    records = checked(job.source.count(), job.options.input)
    header = Header(journal.VERSION, wanted, batch_tokens, records, job.options.restart, receipt.now())
    return journal.create(job.workspace.journal, header)


def _run(job: MigrationJob, journal_: Journal, runner: ParallelEngine) -> Receipt:
    with ExitStack() as stack:
        writer = RowWriter(job, journal_, runner, stack)
        done = writer.journal.last.records
        progress = stack.enter_context(closing(Progress(_share(job, journal_.header), done)))
        seen = stack.enter_context(closing(DuplicateIds(job.workspace.ids, job.options.shard)))
        with closing(ahead(_prepared(job, seen, journal_.last.next))) as windows_:
            for prepared in windows_:
                writer.write(prepared)
                progress.advance(prepared.records, sum(piece.tokens for piece in prepared.pieces))
        return _finish(job, writer)


def _prepared(job: MigrationJob, seen: DuplicateIds, start: int) -> Iterator[Prepared]:
    own = (record for record in job.source.records(start) if job.options.shard.takes(record.ordinal))
    for window in windows(own, job.options.bounds):
        yield job.model.preparer.prepare(window, seen.repeats(window))


def _share(job: MigrationJob, header: Header) -> int | None:
    return None if header.records is None else len(job.options.shard.ordinals(header.records))


class RowWriter:
    """Writes windows to the sink first and to the journal second, so that recorded rows are always stored."""

    def __init__(self, job: MigrationJob, journal_: Journal, runner: ParallelEngine, stack: ExitStack) -> None:
        """Open the sink, the memo and the side files; `stack` closes them."""
        self._job = job
        self.journal = journal_
        last, workspace, dimension = journal_.last, job.workspace, job.model.dimension
        self._memo = VectorMemo(workspace.memo, dimension, last.computed) if job.options.dedupe else None
        if self._memo:
            stack.enter_context(closing(self._memo))
        self._runner = runner
        self._computer = self._plain(self._memo)
        paths = [workspace.rejects, workspace.sample]
        paths += [workspace.ordinals] if job.options.shard.count > 1 else []
        self._since = time.monotonic()
        self._side: dict[str, SideFile] = {}
        for path in paths:
            file = SideFile(path, last.lengths.get(path.name, 0))
            self._side[path.name] = stack.enter_context(closing(file))
        fresh = journal_.header.fresh and not last.window
        model = job.model
        about = dimension, model.manifest.name, model.precision
        job.sink.open(Target(*about, last.rows, fresh, workspace.made, model.space, model.output))

    def write(self, prepared: Prepared) -> None:
        """Embed a window, write it to the sink and then record it in the journal.

        Raises:
            MigrateError: a record cannot be embedded and --on-error is `fail`, or the engine or the sink failed.
        """
        if prepared.rejects and self._job.options.on_error == "fail":
            raise MigrateError(refusal(prepared.rejects))
        vectors, repeated = self._vectors(self._computer, [piece.ids for piece in prepared.pieces])
        first = self.journal.last.rows
        rows = [
            Row(place, piece.id, piece.text, vector, piece.metadata)
            for place, (piece, vector) in enumerate(
                zip(prepared.pieces, self._job.model.encoded(vectors), strict=True), first
            )
        ]
        if rows:
            self._job.sink.write(rows)
        self._append(prepared, rows)
        now = time.monotonic()
        self.journal.append(self._entry(prepared, repeated, now - self._since))
        self._since = now

    def again(self, texts: list[str]) -> Vectors:
        """Embed texts again, without the memo."""
        encoded = [encoding for encoding in self._job.model.preparer.encode(texts) if not isinstance(encoding, str)]
        sequences = [np.array(encoding.ids, np.int64) for encoding in encoded]
        return self._vectors(self._plain(None), sequences)[0]

    def _plain(self, memo: VectorMemo | None) -> Embedder:
        return Embedder(self._runner, self.journal.header.batch_tokens, self._job.model.dimensions, memo)

    def _vectors(self, computer: Embedder, sequences: Sequence[Ids]) -> tuple[Vectors, int]:
        try:
            return computer.vectors(sequences)
        except InferenceError as error:
            raise MigrateError(f"{error}. {AGAIN}") from None

    def _append(self, prepared: Prepared, rows: Sequence[Row]) -> None:
        rejects = ({"record": reject.ordinal, "id": reject.id, "reason": reject.reason} for reject in prepared.rejects)
        data = {
            "rejects.jsonl": b"".join(_json_line(reject) for reject in rejects),
            "sample.jsonl": sample.lines(rows),
            "ordinals": np.array([piece.ordinal for piece in prepared.pieces], "<i8").tobytes(),
        }
        for name, file in self._side.items():
            file.append(data[name])

    def _entry(self, prepared: Prepared, repeated: int, seconds: float) -> JournalEntry:
        last, pieces = self.journal.last, prepared.pieces
        return JournalEntry(
            window=last.window + 1,
            next=prepared.next,
            records=last.records + prepared.records,
            embedded=last.embedded + len({piece.ordinal for piece in pieces}),
            rejected=last.rejected + len(prepared.rejects),
            rows=last.rows + len(pieces),
            tokens=last.tokens + sum(len(piece.ids) for piece in pieces),
            truncated=last.truncated + sum(piece.tokens > len(piece.ids) for piece in pieces),
            repeated=last.repeated + repeated,
            computed=self._memo.computed if self._memo else 0,
            seconds=last.seconds + seconds,
            lengths={name: file.length for name, file in self._side.items()},
        )


def _finish(job: MigrationJob, writer: RowWriter) -> Receipt:
    last, header = writer.journal.last, writer.journal.header
    share = _share(job, header)
    if last.records != last.embedded + last.rejected or share not in (None, last.records):
        raise MigrateError(
            f"of {share} records {last.records} came, {last.embedded} were embedded and {last.rejected} rejected; "
            "run with --restart"
        )
    job.sink.finish()
    verified = verify(job.sink, last.rows, job.workspace.sample, writer.again, job.model.precision, job.model.output)
    job.workspace.hand_out_rejects(job.options.rejects.reveal())
    made = receipt.compose(header, last, verified, job.sink) | {"rejects": str(job.workspace.rejects)}
    receipt.write(job.workspace.receipt, made)
    writer.journal.append(msgspec.structs.replace(last, window=last.window + 1, finished=True))
    job.workspace.tidy()
    return made


def _json_line(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
