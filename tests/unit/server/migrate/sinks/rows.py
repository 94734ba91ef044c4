"""Rows for sinks, and what every sink in files must do."""

from pathlib import Path

import numpy as np

from server.migrate.ownership.made_files import Made
from server.migrate.record import Row
from server.migrate.sinks.sink import Target

DIMENSION = 6
MADE = Made("one job")
IDS = ["plain", "ünïcode ☃", 'quote " and \\', "line\nend", "-", "0"]


def rows(start: int, stop: int) -> list[Row]:
    """Rows with unit vectors, ids of all kinds, and metadata now and then."""
    generator = np.random.default_rng(7)
    vectors = generator.normal(size=(stop, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Row(place, f"{IDS[place % 6]}{place}", f"text {place}", vectors[place], {"n": place} if place % 2 else {})
        for place in range(start, stop)
    ]


def target(written: int = 0, *, fresh: bool = False, made: Made = MADE) -> Target:
    """What a sink is opened for, by one job unless the test says another."""
    return Target(DIMENSION, "tiny", "fp32", written, fresh, made)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
