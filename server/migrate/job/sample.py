"""A sample of the rows written, kept so that verification can embed their texts again at the end."""

import zlib
from collections.abc import Iterable
from pathlib import Path

import orjson

from server.migrate.job.reservoir import Reservoir
from server.migrate.record import Row

LEAST = 20
# Reached at a million rows: a larger sample would add little evidence, and each row costs an inference.
MOST = 10_000
ONE_IN = 100
SEED = 1


def lines(rows: Iterable[Row]) -> bytes:
    """Return the sampled rows as JSON lines: the first LEAST places, and 1 in ONE_IN chosen by a hash of the place."""
    chosen = (row for row in rows if row.place < LEAST or zlib.crc32(b"%d" % row.place) % ONE_IN == 0)
    return b"".join(orjson.dumps([row.place, row.id, row.text], option=orjson.OPT_APPEND_NEWLINE) for row in chosen)


def draw(path: Path) -> list[tuple[int, str, str]]:
    """Draw a uniform sample of at most MOST of the rows kept at `path`, in order: place, id, text."""
    drawn = Reservoir[bytes](MOST, SEED)
    with path.open("rb") as kept:
        for line in kept:
            drawn.add(line)
    return sorted((place, id_, text) for place, id_, text in map(orjson.loads, drawn.items))
