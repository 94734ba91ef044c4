"""Opens the vectors to compare: a store by its address, or a file by its path."""

import importlib
from pathlib import Path
from typing import cast

from server.migrate.commands.vector_file import RowFile, VectorFile
from server.migrate.stores.registry import STORES, is_address, parse
from server.migrate.stores.stored import Stored


def open_stored(where: str, journal: Path | None = None) -> Stored:
    """Open a store by its address, or a file of vectors by its path.

    `journal` is the folder of the job that wrote the file, if it is not beside it.

    Raises:
        MigrateError: it cannot be opened, or a client library is missing.
    """
    if not is_address(where):
        path = Path(where)
        return RowFile(path, journal) if path.suffix in RowFile.SUFFIXES else VectorFile(path, journal)
    address = parse(where)
    return cast(Stored, importlib.import_module(STORES[address.store].module("open")).open_store(address))
