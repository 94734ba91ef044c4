"""Where one window of the input ends and the next begins. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from server.migrate.record import Record


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a window may hold. Characters stand for tokens, which they outnumber and which are not yet known."""

    records: int = 2048
    characters: int = 1 << 19


def windows(records: Iterable[Record], bounds: Bounds) -> Iterator[list[Record]]:
    """Divide records into windows, each ending with the record that reaches a bound.

    Where a window ends depends on its own records only. So whoever goes on at the beginning of a window, as after an
    interruption, gets the very windows that would have come.
    """
    window: list[Record] = []
    characters = 0
    for record in records:
        window.append(record)
        characters += len(record.text) if isinstance(record.text, str) else 0
        if len(window) == bounds.records or characters >= bounds.characters:
            yield window
            window, characters = [], 0
    if window:
        yield window
