"""Which texts hold something to embed: those with at least one visible character, whatever the tokenizer.

The same ranges refuse a text and describe it in /openapi.json, so that both always agree.
"""

import sys
import unicodedata
from collections.abc import Iterator

import numpy as np

# Blanks, controls, formats, and combining marks, which show only on another character. Characters that this Python's
# Unicode does not know yet count as visible: they are mostly new letters and emoji.
INVISIBLE = frozenset({"Cc", "Cf", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
# The planes without them hold ideographs, or nothing.
PLANES = (range(0xD800), range(0xF900, 0x20000), range(0xE0000, 0xE1000))
PRIVATE_USE = ((0xE000, 0xF8FF), (0xF0000, 0x10FFFF))
REPLACEMENT = 0xFFFD  # stands where a character was lost


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
    # Python and JavaScript escape characters beyond U+FFFF differently; neither needs to.
    return f"\\u{code:04x}" if code <= 0xFFFF else chr(code)


_RUNS = tuple(_invisible_runs())
PATTERN = f"[^{''.join(f'{_escaped(first)}-{_escaped(last)}' for first, last in _RUNS)}]"
"""A regular expression that finds a visible character; Python, ECMA 262 and Rust read it alike."""

# By code point. Looking up a million characters takes milliseconds, where the pattern needs up to half a second.
_invisible = np.zeros(sys.maxunicode + 1, np.bool_)
for _first, _last in _RUNS:
    _invisible[_first : _last + 1] = True


def has_visible(text: str) -> bool:
    """Whether `text` has a visible character."""
    # Most texts begin with one in ASCII.
    if "!" <= text[:1] <= "~":
        return True
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return not _invisible[codes].all()
