"""A cursor in a stream of JSON, read in blocks: memory holds one value and one block.

A streaming parser would do the same, but needs a package that the server does not depend on.
"""

import json
from collections.abc import Iterator
from typing import TextIO

from server.migrate.sources.json_decoder import Decoder

BLOCK = 1 << 18
LARGEST_ELEMENT = 1 << 26
BLANK = " \t\r\n"
# How many levels `skip` reads element by element; values nested deeper are read whole.
DEPTH = 2


class Cursor:
    """See above. Invalid JSON raises a ValueError with the position in characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._buffer = ""
        self._at = 0
        self._passed = 0
        self._ended = False
        self._decode = Decoder().decode

    @property
    def position(self) -> int:
        """Number of characters in the file before the cursor."""
        return self._passed + self._at

    def value(self) -> object:
        """Read the value at the cursor, fetching more of the file until it is complete.

        Raises:
            ValueError: it is not JSON, or larger than LARGEST_ELEMENT characters.
        """
        self.peek()
        block = BLOCK
        while True:
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if not self._more(block):
                    raise ValueError(f"{error.msg} at character {self._passed + error.pos}") from None
            else:
                # A number at the end of the block, or one that ends there in `.`, `e` or `e+`, may be incomplete.
                if end + len("e+") < len(self._buffer) or not self._more(block):
                    self._at = end
                    return value
            block *= 2
            if len(self._buffer) - self._at > LARGEST_ELEMENT:
                raise ValueError(f"the element at character {self.position} does not end, or is too large")

    def elements(self) -> Iterator[object]:
        """Read the list at the cursor, one value at a time."""
        for _ in self._items():
            yield self.value()

    def members(self) -> Iterator[str]:
        """Read the object at the cursor: after each key, the caller must read or skip its value."""
        self.take("{")
        while not self._closes("}"):
            key = self.value()
            if not isinstance(key, str):
                raise ValueError(f"a key must be text, at character {self.position}")
            self.take(":")
            yield key
            self._separate("}")
        self.take("}")

    def skip(self, depth: int = DEPTH) -> str:
        """Skip the value at the cursor; return its first character and, for a list, that of its first element."""
        opening, first = self.peek(), ""
        if depth and opening == "[":
            for _ in self._items():
                inner = self.skip(depth - 1)
                first = first or inner[:1]
        elif depth and opening == "{":
            for _ in self.members():
                self.skip(depth - 1)
        else:
            self.value()
        return opening + first

    def take(self, allowed: str) -> str:
        """Read one of the `allowed` characters."""
        character = self.peek()
        if not character or character not in allowed:
            raise ValueError(f"expected {' or '.join(allowed)} at character {self.position}")
        self._at += 1
        return character

    def end(self) -> None:
        """Check that only white space is left."""
        if self.peek():
            raise ValueError(f"more than one value: the next is at character {self.position}")

    def peek(self) -> str:
        """Return the next character that is not white space, without consuming it; an empty string at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in BLANK:
                    return self._buffer[self._at]
                self._at += 1
            if not self._more(BLOCK):
                return ""

    def _items(self) -> Iterator[None]:
        self.take("[")
        while not self._closes("]"):
            yield
            self._separate("]")
        self.take("]")

    def _closes(self, closing: str) -> bool:
        return self.peek() == closing

    def _separate(self, closing: str) -> None:
        """Skip a comma, which another value must follow, or stop before `closing`."""
        if not self._closes(closing):
            self.take(",")
            if self._closes(closing):
                raise ValueError(f"nothing after the comma before character {self.position}")

    def _more(self, characters: int) -> bool:
        if self._ended:
            return False
        block = self._stream.read(characters)
        self._ended = not block
        self._passed += self._at
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
        return True
