"""Detects blank texts: those without a visible character, regardless of the tokenizer.

Validation and the pattern in /openapi.json use the same character ranges, so that they always agree.
"""

import sys
import unicodedata
from collections.abc import Iterator

import numpy as np

# Whitespace, control and format characters, and combining marks, which are visible only on another character. Code
# points not assigned in this Python's Unicode count as visible: later versions make most of them letters and emoji.
INVISIBLE = frozenset({"Cc", "Cf", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
# The only ranges that can hold such characters: the rest is surrogates, private use, ideographs and unassigned.
PLANES = (range(0xD800), range(0xF900, 0x20000), range(0xE0000, 0xE1000))
PRIVATE_USE = ((0xE000, 0xF8FF), (0xF0000, 0x10FFFF))
REPLACEMENT = 0xFFFD  # replaces a character that could not be decoded


def _invisible_runs() -> Iterator[tuple[int, int]]:
    for plane in PLANES:
        first = None
        for code in plane:
            if unicodedata.category(chr(code)) in INVISIBLE or code == REPLACEMENT:
                first = code if first is None else first
            elif first is not None:
                yield first, code - 1
                first = None
    yield from PRIVATE_USE


def _escaped(code: int) -> str:
    # Python and JavaScript have different escapes for characters beyond U+FFFF, so those are written literally.
    return f"\\u{code:04x}" if code <= 0xFFFF else chr(code)


_RUNS = tuple(_invisible_runs())
PATTERN = f"[^{''.join(f'{_escaped(first)}-{_escaped(last)}' for first, last in _RUNS)}]"
"""A regular expression that matches a visible character, with the same meaning in Python, ECMA 262 and Rust."""

# Indexed by code point. A lookup of a million characters takes milliseconds; the pattern takes up to half a second.
_invisible = np.zeros(sys.maxunicode + 1, np.bool_)
for _first, _last in _RUNS:
    _invisible[_first : _last + 1] = True


def has_visible(text: str) -> bool:
    """Return whether `text` contains a visible character."""
    # Fast path: most texts begin with a visible ASCII character.
    if "!" <= text[:1] <= "~":
        return True
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return not _invisible[codes].all()
