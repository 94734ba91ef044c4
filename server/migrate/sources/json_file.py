"""A JSON file: a list of texts, a list of objects, or an object of id → text.

Read piece by piece with the standard library's own decoder rather than with a streaming parser: the most common input
then needs no package that the server does not have, and memory holds one element and one block.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TextIO

from server.migrate.errors import MigrateError
from server.migrate.record import Record
from server.migrate.sources.fields import Fields
from server.migrate.sources.file import FileSource
from server.migrate.sources.source import Source
from server.migrate.sources.stream import text

BLOCK = 1 << 18
LARGEST_ELEMENT = 1 << 26
BLANK = " \t\r\n"


def make(location: str, options: Mapping[str, str]) -> Source:
    """Open the file at `location`; `options` name the fields."""
    return FileSource(Path(location), partial(_records, fields=Fields.of(options)))


def _records(path: Path, fields: Fields) -> Iterator[Record]:
    with text(path) as stream:
        cursor = Cursor(stream)
        try:
            opening = cursor.take("[{")
            entries = _elements(cursor) if opening == "[" else _members(cursor)
            yield from fields.members(entries)
            cursor.end()
        except (ValueError, RecursionError) as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            raise MigrateError(
                f"{path} is not a JSON list or object of texts: {error}; if it holds one JSON value a line, "
                "say --input-format jsonl"
            ) from None


def _elements(cursor: "Cursor") -> Iterator[tuple[None, object]]:
    while not cursor.closes("]"):
        yield None, cursor.value()
        cursor.separate("]")


def _members(cursor: "Cursor") -> Iterator[tuple[str, object]]:
    while not cursor.closes("}"):
        key = cursor.value()
        if not isinstance(key, str):
            raise ValueError(f"a key must be text, at character {cursor.position}")
        cursor.take(":")
        yield key, cursor.value()
        cursor.separate("}")


class Cursor:
    """A place in a stream of JSON, of which one block and the element at hand are in memory."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._buffer = ""
        self._at = 0
        self._passed = 0
        self._ended = False
        self._decode = json.JSONDecoder().raw_decode

    @property
    def position(self) -> int:
        """Characters of the file before this place."""
        return self._passed + self._at

    def value(self) -> object:
        """Read the value that begins here, reading on until it is whole.

        Raises:
            ValueError: it is not JSON, or larger than LARGEST_ELEMENT characters.
        """
        self._peek()
        block = BLOCK
        while True:
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if not self._more(block):
                    raise ValueError(f"{error.msg} at character {self._passed + error.pos}") from None
            else:
                # A number that ends where the block ends, or ends in `.`, `e` or `e+` there, may go on in the next.
                if end + len("e+") < len(self._buffer) or not self._more(block):
                    self._at = end
                    return value
            block *= 2
            if len(self._buffer) - self._at > LARGEST_ELEMENT:
                raise ValueError(f"the element at character {self.position} does not end, or is too large")

    def take(self, allowed: str) -> str:
        """Read one of the `allowed` characters.

        Raises:
            ValueError: something else is here.
        """
        found = self._peek()
        if not found or found not in allowed:
            raise ValueError(f"expected {' or '.join(allowed)} at character {self.position}")
        self._at += 1
        return found

    def closes(self, closing: str) -> bool:
        """Tell whether `closing` is next."""
        return self._peek() == closing

    def separate(self, closing: str) -> None:
        """Go past a comma, after which another value must come; or stay before `closing`.

        Raises:
            ValueError: neither is here, or the comma is the last.
        """
        if not self.closes(closing):
            self.take(",")
            if self.closes(closing):
                raise ValueError(f"nothing after the comma before character {self.position}")

    def end(self) -> None:
        """Go past what closes the list or object, after which nothing may come.

        Raises:
            ValueError: something does.
        """
        self._at += 1
        if self._peek():
            raise ValueError(f"more than one value: the next is at character {self.position}")

    def _peek(self) -> str:
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in BLANK:
                    return self._buffer[self._at]
                self._at += 1
            if not self._more(BLOCK):
                return ""

    def _more(self, characters: int) -> bool:
        if self._ended:
            return False
        block = self._stream.read(characters)
        self._ended = not block
        self._passed += self._at
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
        return True
