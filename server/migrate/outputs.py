"""Maps output formats to the modules that write them, which are imported, with their libraries, on first use."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from server.migrate.errors import MigrateError
from server.migrate.record import Row
from server.migrate.sinks.sink import Sink
from server.migrate.stores.registry import STORES, is_address, parse, store_of
from server.model.output_types import OUTPUT_NAMES, OutputName
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
# The output types that each format or store holds.
TYPES_OF: dict[str, tuple[OutputName, ...]] = {
    **dict.fromkeys(("npy", "npz", "jsonl", "parquet"), OUTPUT_NAMES),
    "faiss": ("float", "float16", "int8", "uint8", "ubinary"),
    **{name: store.types for name, store in STORES.items()},
}
# Formats whose finished rows can be read back (`read`), as --merge does.
READABLE = ("npy", "npz", "jsonl", "parquet")


def open_sink(location: str, name: str | None, options: Mapping[str, str]) -> Sink:
    """Create the sink for an output; `name` is its format, None to infer it from `location`.

    Raises:
        MigrateError: the format cannot be inferred, or a client library is missing.
    """
    chosen = name or guess(location)
    if chosen in STORES and not STORES[chosen].offline:
        parse(location)
    return cast(Sink, importlib.import_module(MODULES[chosen]).make(location, options))


def read(location: str, name: str) -> Iterator[Row]:
    """Yield the rows of a finished output in one of the READABLE formats."""
    return cast(Iterator[Row], importlib.import_module(MODULES[name]).read(Path(location)))


def check_type(name: str, kind: OutputName) -> None:
    """Check that the format `name` holds vectors of type `kind`.

    Raises:
        MigrateError: it does not; the message names what it holds, and what holds the type.
    """
    if kind in TYPES_OF[name]:
        return
    others = ", ".join(other for other, types in TYPES_OF.items() if kind in types)
    bits = "; binary is ubinary - 128, the same bits" if kind == "binary" and "ubinary" in TYPES_OF[name] else ""
    raise MigrateError(
        f"{name} holds no vectors of type {kind}; it holds {', '.join(TYPES_OF[name])}{bits}. "
        f"{kind} is held by {others} (docs/migration.md)"
    )


def guess(location: str) -> str:
    """Infer the format of an output from its address or file name.

    Raises:
        MigrateError: the format cannot be inferred.
    """
    if is_address(location):
        return store_of(location)
    suffix = Path(location).suffix.lower()
    if suffix not in SUFFIXES:
        raise MigrateError(f"--output {mask(location)}: its name does not tell its format; say --format")
    return SUFFIXES[suffix]
