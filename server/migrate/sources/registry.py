"""Which module reads which input. A module is imported when its format is asked for, and its libraries with it."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from server.migrate.address import is_address, store_of
from server.migrate.errors import MigrateError
from server.migrate.sources.source import Source
from server.migrate.sources.stream import plain_name
from server.secret import mask

HERE = "server.migrate.sources"

MODULES: dict[str, str] = {
    "json": f"{HERE}.json_file",
    "jsonl": f"{HERE}.json_lines",
    "csv": f"{HERE}.csv_file",
    "parquet": f"{HERE}.parquet_file",
    "lines": f"{HERE}.lines",
    "folder": f"{HERE}.folder",
    "chroma": f"{HERE}.chroma",
    "pgvector": f"{HERE}.pgvector",
    "qdrant": f"{HERE}.qdrant",
}
SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "lines",
}
STORES = ("chroma", "pgvector", "qdrant")


def open_source(location: str, name: str | None, options: Mapping[str, str]) -> Source:
    """Open an input; `name` is its format, None to tell it from `location`.

    Raises:
        MigrateError: there is nothing there, its format cannot be told, or a client library is missing.
    """
    if location == "-":
        raise MigrateError("standard input cannot be read again after an interruption; save it to a file first")
    chosen = name or guess(location)
    return cast(Source, importlib.import_module(MODULES[chosen]).make(location, options))


def guess(location: str) -> str:
    """Tell the format of an input from its address or its file's name.

    Raises:
        MigrateError: it cannot be told, or there is no such file.
    """
    if is_address(location):
        store = store_of(location)
        if store not in STORES:
            raise MigrateError(f"--input {store}: no store that texts are read from; those are {', '.join(STORES)}")
        return store
    path = Path(location)
    if not path.exists():
        raise MigrateError(f"--input {mask(location)}: no such file or folder")
    if path.is_dir():
        return "folder"
    suffix = Path(plain_name(path)).suffix
    if suffix not in SUFFIXES:
        raise MigrateError(f"--input {mask(location)}: its name does not tell its format; say --input-format")
    return SUFFIXES[suffix]
