"""Rows and targets for tests of file sinks."""

from pathlib import Path

import numpy as np

from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from server.migrate.sinks.sink import Target

DIMENSION = 6
SPACE = "tiny@0123456789ab/fp32"
MADE = Made("one job")
IDS = ["plain", "ünïcode ☃", 'quote " and \\', "line\nend", "-", "0"]


def rows(start: int, stop: int) -> list[Row]:
    """Return rows with unit vectors, various ids, and metadata in some."""
    generator = np.random.default_rng(7)
    vectors = generator.normal(size=(stop, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Row(place, f"{IDS[place % 6]}{place}", f"text {place}", vectors[place], {"n": place} if place % 2 else {})
        for place in range(start, stop)
    ]


def target(written: int = 0, *, fresh: bool = False, made: Made = MADE) -> Target:
    """Return a target, by default always of the same job."""
    return Target(DIMENSION, "tiny", "fp32", written, fresh, made, SPACE)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of all files under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
