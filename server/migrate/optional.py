"""Imports optional client libraries, which only some formats need."""

import importlib
from typing import Any

from server.migrate.errors import MigrateError


def load(module: str, requirements: str = "requirements/stores.txt") -> Any:  # noqa: ANN401 - a module of any library
    """Import `module`.

    Raises:
        MigrateError: it is not installed; the message gives the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MigrateError(f"{name} cannot be imported ({error}); pip install -r {requirements}") from None
