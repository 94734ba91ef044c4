"""Seeded mutations of valid inputs, for runs without coverage guidance."""

import random
from collections.abc import Iterator, Sequence

MOST_CHANGES = 4
LONGEST = 8192
# Edge cases for parsers of JSON, numbers and text.
PIECES = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\ud800", b"\\u0000", b"null", b"true", b"1e999", b"NaN"),
    *(b"-0", b"9" * 25, b"1.0", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80", b" ", b"../", b'{"a":' * 50),
)


def mutated(chance: random.Random, examples: Sequence[bytes]) -> Iterator[bytes]:
    """Yield mutated copies of `examples` endlessly, reproducibly by the seed of `chance`."""
    while True:
        data = chance.choice(examples)
        for _ in range(chance.randint(0, MOST_CHANGES)):
            data = _change(chance, data, examples)[:LONGEST]
        yield data


def _change(chance: random.Random, data: bytes, examples: Sequence[bytes]) -> bytes:
    begin, end = sorted(chance.randint(0, len(data)) for _ in range(2))
    short = min(end, begin + 8)
    kind = chance.randrange(6)
    if kind == 0:
        return data[:begin] + data[short:]
    if kind == 1:
        return data[:begin] + chance.choice(PIECES) + data[short:]
    if kind == 2:
        return data[:begin] + chance.choice(PIECES) + data[begin:]
    if kind == 3:
        return data[:begin] + chance.randbytes(chance.randint(1, 4)) + data[begin + 1 :]
    if kind == 4:
        return data[:end] + data[begin:]
    other = chance.choice(examples)
    return data[:begin] + other[chance.randint(0, len(other)) :]
