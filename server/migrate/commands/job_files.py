"""Checks, before anything is written, that the inputs, outputs and working files of a job do not overlap."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from server.migrate.errors import MigrateError
from server.migrate.options import Options, job_folder
from server.migrate.outputs import open_sink
from server.migrate.ownership.distinct_files import Place, check_apart
from server.migrate.sinks.file import FileSink
from server.migrate.sinks.partial_folder import PartialFolder
from server.migrate.sinks.sink import Sink
from server.migrate.stores import registry

HERE = {"127.0.0.1", "::1", "localhost", ""}


def check_places(options: Options, sink: Sink | None, journal: Path) -> None:
    """Check that input, output, partial output, journal and list of rejects are all different files.

    Without a `sink` the output is a folder.

    Raises:
        MigrateError: two of them are the same, or one is inside another.
    """
    _check_stores(options)
    check_apart([*_read(options), *_written(options, sink), Place("the folder of the journal", journal, True, True)])


def _read(options: Options) -> Iterator[Place]:
    for flag, given in (("--input", options.input), ("--compare-with", options.compare_with)):
        where = given.reveal()
        if where and _is_path(where):
            yield Place(f"{flag} {given}", Path(where), written=False, folder=Path(where).is_dir())
    for shard in options.merge:
        made = open_sink(shard.reveal(), None, {})
        files = made.files() if isinstance(made, FileSink) else []
        yield from (Place(f"{path} of --merge {shard}", path, written=False) for path in files)
        yield Place(f"the journal of --merge {shard}", job_folder(shard.reveal()), written=False, folder=True)


def _written(options: Options, sink: Sink | None) -> Iterator[Place]:
    if options.rejects and _is_path(options.rejects.reveal()):
        yield Place(f"--rejects {options.rejects}", Path(options.rejects.reveal()), written=True)
    if not _is_path(options.output.reveal()):
        return
    output = Path(options.output.reveal())
    # Pinecone's shards are files in a folder, and their number is not known yet.
    folder = options.format == "pinecone" or sink is None
    yield Place(f"--output {output}", output, written=True, folder=folder)
    files = sink.files() if sink and isinstance(sink, FileSink) and not folder else list[Path]()
    yield from (Place(f"{path} of --output {output}", path, written=True) for path in files if path != output)
    partial = PartialFolder(output).folder
    yield Place(f"{partial}, where --output grows,", partial, written=True, folder=True)


def _check_stores(options: Options) -> None:
    """Check that the output is not also an input collection."""
    output = options.output.reveal()
    for flag, given in (("--input", options.input), ("--compare-with", options.compare_with)):
        both = registry.is_address(given.reveal()) and registry.is_address(output)
        if both and _collection(given.reveal()) == _collection(output):
            raise MigrateError(f"{flag} and --output are one collection; choose another --output. Nothing was changed")


def _collection(where: str) -> tuple[str, ...]:
    """Return a key that identifies a collection; all names of this machine count as one host."""
    address = registry.parse(where)
    if not address.remote:
        return address.store, address.location.reveal(), address.collection
    parts = urlsplit(str(address).removeprefix(f"{address.store}:").rpartition("#")[0])
    host = "localhost" if (parts.hostname or "") in HERE else str(parts.hostname)
    port = {"pgvector": "5432"}.get(address.store, "") if parts.port is None else str(parts.port)
    name = address.collection.removeprefix("public.") if address.store == "pgvector" else address.collection
    return address.store, host, port, parts.path, name


def _is_path(where: str) -> bool:
    return not registry.is_address(where) and "://" not in where
