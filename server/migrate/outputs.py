"""Which module writes which output. A module is imported when its format is asked for, and its libraries with it."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink
from server.migrate.stores.registry import STORES, is_address, parse, store_of
from server.secret import mask

MODULES: dict[str, str] = {
    "npy": "server.migrate.sinks.npy",
    "npz": "server.migrate.sinks.npz",
    "jsonl": "server.migrate.sinks.json_lines",
    "parquet": "server.migrate.sinks.parquet",
    "faiss": "server.migrate.sinks.faiss",
    **{name: store.module("sink") for name, store in STORES.items()},
}
SUFFIXES = {
    ".npy": "npy",
    ".npz": "npz",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".faiss": "faiss",
}
# Formats whose finished rows can be read again (`read`), as --merge does.
READABLE = ("npy", "npz", "jsonl", "parquet")


def open_sink(location: str, name: str | None, options: Mapping[str, str]) -> Sink:
    """Make the sink for an output; `name` is its format, None to tell it from `location`.

    Raises:
        MigrateError: its format cannot be told, or a client library is missing.
    """
    chosen = name or guess(location)
    if chosen in STORES and not STORES[chosen].offline:
        parse(location)
    return cast(Sink, importlib.import_module(MODULES[chosen]).make(location, options))


def read(location: str, name: str) -> Iterator[Row]:
    """Yield the rows of a finished output in one of the READABLE formats."""
    return cast(Iterator[Row], importlib.import_module(MODULES[name]).read(Path(location)))


def guess(location: str) -> str:
    """Tell the format of an output from its address or its file's name.

    Raises:
        MigrateError: it cannot be told.
    """
    if is_address(location):
        return store_of(location)
    suffix = Path(location).suffix.lower()
    if suffix not in SUFFIXES:
        raise MigrateError(f"--output {mask(location)}: its name does not tell its format; say --format")
    return SUFFIXES[suffix]
