"""Where figures and pictures are written: over an earlier one, never over anything else, and never through a link."""

import json
import os
from pathlib import Path

from server.migrate.ownership import owned_files

# What all pictures of this project have in common, and few others: see `svg.root`.
ALIKE = 60


class OutputError(Exception):
    """What is under the name is no earlier output."""


def write(path: Path, text: str) -> None:
    """Write a picture (SVG) or a JSON object to `path`, whole or not at all, and make its folder where it lacks.

    Raises:
        OutputError: something is there that is no earlier output of the same kind; it is left alone.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        try:
            owned_files.check(path)
            alike = _alike(path.read_bytes(), text)
        except OSError as error:
            raise OutputError(f"{path} {error.strerror}") from None
        if not alike:
            raise OutputError(f"{path} exists and is no earlier output of this command; move it away or name another")
    owned_files.put(path, text.encode())


def _alike(old: bytes, new: str) -> bool:
    if not new.startswith("{"):
        return old[:ALIKE] == new.encode()[:ALIKE]
    try:
        held = json.loads(old)
    except ValueError:
        return False
    return isinstance(held, dict) and bool(held.keys() & json.loads(new).keys())
