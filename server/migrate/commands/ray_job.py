"""Runs a migration on a Ray cluster, from Parquet to Parquet, with one warm engine per worker.

Ray takes the place of the journal: the batch of a worker that dies is computed again by another worker. Every machine
needs this program and its models at the same paths, and access to the input and output.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from server.errors import ServiceError, StartError
from server.migrate import optional
from server.migrate.commands.job_files import check_places
from server.migrate.commands.model import JobModel
from server.migrate.errors import MigrateError
from server.migrate.job import receipt
from server.migrate.job.receipt import Receipt
from server.migrate.job.verify import cosines, least_agreement
from server.migrate.job.workspace import JobWorkspace
from server.migrate.options import Options
from server.migrate.ownership.made_files import Made
from server.migrate.pipeline.embed import Embedder
from server.migrate.pipeline.prepare import Prepared
from server.migrate.record import Record, Row
from server.migrate.sinks import parquet
from server.migrate.sources.fields import ID, Fields
from server.migrate.sources.source import checked
from server.secret import Location, scrub
from server.settings import Settings

REQUIREMENTS = "requirements/ray.txt"
SAMPLE = 100
# The column that gives the reason for a rejected row, until rejects are separated from rows.
REASON = "reason"
RAISED = re.compile(r"(?:MigrateError|StartError|InferenceError): (.+?)(?:\n\s*\n|\Z)", re.DOTALL)


def migrate(options: Options, settings: Settings) -> Receipt:
    """Embed the Parquet files at `options.input` into the folder `options.output`; both may be on object stores.

    Connects to the cluster at RAY_ADDRESS, or starts one on this machine. If the whole job is interrupted it must start
    over (--restart).

    Raises:
        MigrateError: the job is refused, or cannot continue.
        StartError, InvalidError: the model cannot be used as asked.
    """
    _check(options)
    settings = replace(settings, threads=settings.threads or 1)
    place = options.place(str(options.output))
    workspace = JobWorkspace(options.folder(str(options.output)), place)
    check_places(options, None, workspace.folder)
    with workspace.lock(), _as_migrate_errors(options), _claimed(options, workspace.made), _cluster() as data:
        model = JobModel(options, settings)
        began = time.monotonic(), receipt.now()
        source = _read(data, options)
        counts = {"records": checked(source.count(), options.input)}
        counts["rows"], counts["rejected"] = _write(data, _embed(data, source, options, settings), options)
        if counts["records"] != counts["rows"] + counts["rejected"]:
            raise MigrateError(f"what came in is not what went out: {counts}; run with --restart")
        made = _receipt(options, model, counts, began)
        receipt.write(workspace.receipt, made)
        return made


def _embed(data: Any, source: Any, options: Options, settings: Settings) -> Any:  # noqa: ANN401 - Ray's datasets
    threads = settings.threads or 1
    # One CPU is left for reading and writing.
    most = max(1, int(_cpus() - 1) // threads)
    # Ray makes one block of a small file and few of a large one, too few to keep all workers busy.
    return source.repartition(target_num_rows_per_block=options.window).map_batches(
        RayWorker,
        fn_constructor_args=(options, settings),
        batch_size=options.window,
        batch_format="pyarrow",
        num_cpus=threads,
        compute=data.ActorPoolStrategy(min_size=1, max_size=most),
    )


@contextmanager
def _as_migrate_errors(options: Options) -> Iterator[None]:
    """Convert exceptions from the cluster to MigrateError."""
    try:
        yield
    except (MigrateError, StartError, ServiceError):
        raise
    except Exception as error:
        raise MigrateError(f"{options.input} could not be embedded: {_raised(error)}; run with --restart") from error


def _raised(error: Exception) -> str:
    """Extract a worker's error message from its traceback, which is all that Ray passes on."""
    text = str(error).strip()
    match = RAISED.search(text)
    return match[1] if match else (text.splitlines() or [type(error).__name__])[-1]


class RayWorker:
    """A Ray actor that holds a warm engine."""

    def __init__(self, options: Options, settings: Settings) -> None:
        self._options = options
        self._fields = Fields.of(options.fields)
        self._model = JobModel(options, settings)
        runner, batch_tokens = self._model.start()
        self._computer = Embedder(runner, batch_tokens, self._model.dimensions, None)

    def __call__(self, batch: Any) -> Any:  # noqa: ANN401 - Arrow's tables
        """Embed a table of records into a table of rows; a rejected row has a reason instead of a vector."""
        prepared = self._prepare(batch)
        if prepared.rejects and self._options.on_error == "fail":
            first = prepared.rejects[0]
            raise MigrateError(f"the record with id {first.id!r} cannot be embedded: {first.reason}; see --on-error")
        vectors, _ = self._computer.vectors([piece.ids for piece in prepared.pieces])
        rows = [
            Row(place, piece.id, piece.text, vector, piece.metadata)
            for place, (piece, vector) in enumerate(zip(prepared.pieces, self._model.encoded(vectors), strict=True))
        ]
        column = parquet.VectorColumn(self._model.dimension, self._model.space, self._model.output)
        return _with_reasons(parquet.table(rows, column), prepared)

    def _prepare(self, batch: Any) -> Prepared:  # noqa: ANN401 - an Arrow table
        records = [self._fields.record(ordinal, entry) for ordinal, entry in enumerate(batch.to_pylist())]
        return self._model.preparer.prepare(records, {})


def _check(options: Options) -> None:
    if options.format != "parquet" or options.chunk or options.shard.count > 1:
        raise MigrateError("--engine ray writes Parquet (--format parquet), without --chunk and --shard")


@contextmanager
def _claimed(options: Options, made: Made) -> Iterator[None]:
    """Check that the output folders are free or were written by this job, and record them as this job's.

    Ray replaces whole folders, and the files in them carry no mark.
    """
    places = (options.output, _whole(options), _rejects(options))
    for where in places:
        filesystem, path = _place(where.reveal())
        if filesystem.get_file_info(path).type.name == "NotFound":
            continue
        if path not in made.names or _strangers(filesystem, path):
            raise MigrateError(f"{where} exists and is not this job's; choose another --output, or move it away")
        if not options.restart:
            raise MigrateError(f"{where} exists; choose another --output, or --restart to replace it")
    for where in places:
        made.note(_place(where.reveal())[1])
    yield


@contextmanager
def _cluster() -> Iterator[Any]:
    """Connect to Ray and yield the module `ray.data`; disconnect at the end unless already connected before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray, data = optional.load("ray", REQUIREMENTS), optional.load("ray.data", REQUIREMENTS)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    data.DataContext.get_current().execution_options.preserve_order = True
    ours = not ray.is_initialized()
    if ours:
        # Without an address Ray joins the cluster last started here, whose ever it is, or waits minutes for a dead one.
        address = os.environ.get("RAY_ADDRESS") or "local"
        ray.init(address, include_dashboard=False, log_to_driver=False)
    try:
        yield data
    finally:
        if ours:
            ray.shutdown()


def _cpus() -> float:
    return float(optional.load("ray", REQUIREMENTS).cluster_resources().get("CPU", 1))


def _read(data: Any, options: Options) -> Any:  # noqa: ANN401 - Ray's dataset
    fields = Fields.of(options.fields)
    try:
        source = data.read_parquet(options.input.reveal())
        names = source.schema().names
    except (OSError, ValueError) as error:
        raise MigrateError(f"--input {options.input} cannot be read as Parquet: {scrub(str(error))}") from None
    wanted = [fields.text, fields.id or ID, *fields.metadata]
    if missing := [name for name in wanted if name not in names]:
        # Rows have no ordinals here, because many workers read in parallel.
        raise MigrateError(f"--engine ray needs the columns {', '.join(missing)}; there are {', '.join(names)}")
    return source.select_columns(wanted)


def _with_reasons(rows: Any, prepared: Prepared) -> Any:  # noqa: ANN401 - Arrow's tables
    arrow = optional.load("pyarrow")
    column = arrow.nulls(len(prepared.pieces), arrow.string())
    table = rows.append_column(REASON, column)
    if not prepared.rejects:
        return table
    nothing = arrow.nulls(len(prepared.rejects))
    listed = {
        "id": arrow.array([reject.id for reject in prepared.rejects]),
        REASON: arrow.array([reject.reason for reject in prepared.rejects]),
    }
    columns = [listed.get(name, nothing).cast(table.schema.field(name).type) for name in table.schema.names]
    return arrow.concat_tables([table, arrow.Table.from_arrays(columns, schema=table.schema)])


def _write(data: Any, embedded: Any, options: Options) -> tuple[int, int]:  # noqa: ANN401 - Ray's dataset
    """Write rows and rejects to separate folders; return the number of each."""
    mode = data.SaveMode.OVERWRITE if options.restart else data.SaveMode.ERROR
    if options.on_error == "fail":
        embedded.drop_columns([REASON]).write_parquet(options.output.reveal(), mode=mode)
        return _count(data, options.output.reveal()), 0
    # Written in one pass first: Ray would otherwise embed every text once for the rows and once for the rejects.
    whole, rejects = _whole(options).reveal(), _rejects(options).reveal()
    embedded.write_parquet(whole, mode=data.SaveMode.OVERWRITE)
    kept = data.read_parquet(whole)
    kept.map_batches(_accepted, batch_format="pyarrow").write_parquet(options.output.reveal(), mode=mode)
    kept.map_batches(_rejected, batch_format="pyarrow").write_parquet(rejects, mode=data.SaveMode.OVERWRITE)
    filesystem, path = _place(whole)
    filesystem.delete_dir(path)
    return _count(data, options.output.reveal()), _count(data, rejects)


def _count(data: Any, where: str) -> int:  # noqa: ANN401 - the module
    """Count the rows in a folder that Ray wrote; it writes no folder for zero rows."""
    filesystem, path = _place(where)
    exists = filesystem.get_file_info(path).type.name != "NotFound"
    return int(data.read_parquet(where).count()) if exists else 0


def _strangers(filesystem: Any, path: str) -> bool:  # noqa: ANN401 - Arrow's
    """Return whether the path is anything but a folder of Parquet files."""
    if filesystem.get_file_info(path).type.name != "Directory":
        return True
    inside = filesystem.get_file_info(optional.load("pyarrow.fs").FileSelector(path))
    return any(entry.type.name != "File" or entry.extension != "parquet" for entry in inside)


def _whole(options: Options) -> Location:
    return Location(f"{options.output.reveal()}.whole")


def _rejects(options: Options) -> Location:
    return options.rejects or Location(f"{options.output.reveal()}.rejects")


def _place(output: str) -> tuple[Any, str]:
    """Return the file system of a local path or an object store's URI, and the path in it."""
    uri = output if "://" in output else Path(output).resolve().as_uri()
    filesystem, path = optional.load("pyarrow.fs").FileSystem.from_uri(uri)
    return filesystem, path


def _accepted(batch: Any) -> Any:  # noqa: ANN401 - Arrow's tables
    return batch.filter(optional.load("pyarrow.compute").is_null(batch[REASON])).drop_columns([REASON])


def _rejected(batch: Any) -> Any:  # noqa: ANN401 - Arrow's tables
    return batch.filter(optional.load("pyarrow.compute").is_valid(batch[REASON])).select(["id", REASON])


def _verified(model: JobModel, output: Location) -> tuple[int, float | None]:
    """Embed SAMPLE rows of the output again on this machine; return their number and the lowest cosine."""
    rows = optional.load("ray.data", REQUIREMENTS).read_parquet(output.reveal()).take(SAMPLE)
    if not rows:
        return 0, None
    runner, batch_tokens = model.start()
    prepared = model.preparer.prepare([Record(at, row["id"], row["text"]) for at, row in enumerate(rows)], {})
    computer = Embedder(runner, batch_tokens, model.dimensions, None)
    again, _ = computer.vectors([piece.ids for piece in prepared.pieces])
    least = float(cosines(np.stack([row["embedding"] for row in rows]), again, model.output).min())
    if not least >= least_agreement(model.precision, model.output):
        raise MigrateError(f"a vector in {output} has a cosine of {least:.6f} to its text embedded again")
    return len(rows), round(least, 8)


def _receipt(options: Options, model: JobModel, counts: Mapping[str, int], began: tuple[float, str]) -> Receipt:
    sample, least = _verified(model, options.output)
    ends = {"input": str(options.input), "target": f"parquet {options.output}"}
    return {
        "job": {**ends, **model.described(), **options.decisive()},
        "counts": {**counts, "embedded": counts["rows"], "input": counts["records"]},
        "rejects": str(_rejects(options)),
        "verified": {"rows": counts["rows"], "sample": sample, "least_cosine": least},
        "files": [],
        "seconds": round(time.monotonic() - began[0], 3),
        "started": began[1],
        "finished": receipt.now(),
        "versions": receipt.versions(),
    }
