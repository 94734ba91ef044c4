"""Divides the input into windows, the units of work between two journal entries. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from server.migrate.record import Record


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a window. Characters are an upper bound for tokens, which are not known yet."""

    records: int = 2048
    characters: int = 1 << 19


def windows(records: Iterable[Record], bounds: Bounds) -> Iterator[list[Record]]:
    """Divide records into windows, each ending with the record that reaches a bound.

    A window's end depends only on its own records, so a job that resumes at a window's beginning gets the same windows
    as an uninterrupted one.
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
