"""Rows set aside while they are written, so that some of them can be embedded again at the end."""

import random
import zlib
from collections.abc import Iterable
from pathlib import Path

import orjson

from server.migrate.record import Row

LEAST = 20
# One in a hundred of a million rows: more would say no more, and each costs an inference.
MOST = 10_000
ONE_IN = 100
SEED = 1


def lines(rows: Iterable[Row]) -> bytes:
    """Return what to keep of `rows`: the first LEAST places and one place in ONE_IN, always the same ones."""
    chosen = (row for row in rows if row.place < LEAST or zlib.crc32(b"%d" % row.place) % ONE_IN == 0)
    return b"".join(orjson.dumps([row.place, row.id, row.text], option=orjson.OPT_APPEND_NEWLINE) for row in chosen)


def draw(path: Path) -> list[tuple[int, str, str]]:
    """Draw at most MOST of the rows kept at `path`, each as likely as another, in their order: place, id, text."""
    generator = random.Random(SEED)  # noqa: S311 - the same rows each time
    drawn: list[bytes] = []
    with path.open("rb") as kept:
        for number, line in enumerate(kept):
            if number < MOST:
                drawn.append(line)
            elif (seat := generator.randrange(number + 1)) < MOST:
                drawn[seat] = line
    return sorted((place, id_, text) for place, id_, text in map(orjson.loads, drawn))
