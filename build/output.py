"""Write figures and charts, overwriting only earlier output of the same kind and never following links."""

import json
import os
from pathlib import Path

from server.migrate.ownership import owned_files

# Length of the prefix that identifies this project's SVG files: see `svg.root`.
ALIKE = 60


class OutputError(Exception):
    """The path exists and is not earlier output."""


def write(path: Path, text: str) -> None:
    """Write an SVG or a JSON object to `path` atomically, creating its folder if needed.

    Raises:
        OutputError: the path exists and is not earlier output of the same kind; it is not changed.
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
