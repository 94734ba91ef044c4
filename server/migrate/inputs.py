"""Maps input formats to the modules that read them, which are imported, with their libraries, on first use."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from server.migrate.errors import MigrateError
from server.migrate.sources.file import files
from server.migrate.sources.source import Source
from server.migrate.sources.stream import plain_name
from server.migrate.stores.registry import STORES, is_address, parse, store_of
from server.secret import mask

MODULES: dict[str, str] = {
    "json": "server.migrate.sources.json_file",
    "jsonl": "server.migrate.sources.json_lines",
    "csv": "server.migrate.sources.csv_file",
    "parquet": "server.migrate.sources.parquet_file",
    "lines": "server.migrate.sources.lines",
    "folder": "server.migrate.sources.folder",
    **{name: store.module("source") for name, store in STORES.items() if store.readable},
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


def open_source(location: str, name: str | None, options: Mapping[str, str]) -> Source:
    """Open an input; `name` is its format, None to infer it from `location`.

    Raises:
        MigrateError: there is no such input, its format cannot be inferred, or a client library is missing.
    """
    if location == "-":
        raise MigrateError("standard input cannot be read again after an interruption; save it to a file first")
    if Path(location).exists() and not (Path(location).is_file() or Path(location).is_dir()):
        raise MigrateError(
            f"--input {location} is a pipe or a device, which cannot be read again; save it to a file first"
        )
    chosen = name or guess(location)
    if chosen in STORES:
        parse(location)
    return cast(Source, importlib.import_module(MODULES[chosen]).make(location, options))


def guess(location: str) -> str:
    """Infer the format of an input from its address or file name.

    Raises:
        MigrateError: the format cannot be inferred, or there is no such file.
    """
    if is_address(location):
        store = store_of(location)
        if not STORES[store].readable:
            readable = ", ".join(name for name, one in STORES.items() if one.readable)
            raise MigrateError(f"--input {store}: no store that texts are read from; those are {readable}")
        return store
    path = Path(location)
    if not path.exists():
        raise MigrateError(f"--input {mask(location)}: no such file or folder")
    if path.is_dir():
        return _of_folder(path)
    suffix = Path(plain_name(path)).suffix
    if suffix not in SUFFIXES:
        raise MigrateError(f"--input {mask(location)}: its name does not tell its format; say --input-format")
    return SUFFIXES[suffix]


def _of_folder(folder: Path) -> str:
    """Infer the format of a folder from its file names: `folder` (one text per file), or one format of records.

    Raises:
        MigrateError: the files are of different formats, or an entry is neither a file nor a folder.
    """
    kinds: dict[str, Path] = {}
    for path in files(folder):
        kinds.setdefault(SUFFIXES.get(Path(plain_name(path)).suffix, "lines"), path)
    if kinds.keys() <= {"lines"}:
        return "folder"
    if len(kinds) > 1:
        named = " and ".join(str(path.relative_to(folder)) for path in list(kinds.values())[:2])
        raise MigrateError(
            f"--input {folder} holds files of more than one kind, such as {named}; put those of one kind into a "
            "folder of their own, or say --input-format folder where each is one text"
        )
    return next(iter(kinds))
