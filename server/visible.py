"""Which texts hold something to embed: those with at least one visible character, whatever the tokenizer.

The same pattern refuses a text and describes it in /openapi.json, so that both always agree.
"""

import re
import unicodedata
from collections.abc import Iterator

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


PATTERN = f"[^{''.join(f'{_escaped(first)}-{_escaped(last)}' for first, last in _invisible_runs())}]"
"""A regular expression that finds a visible character; Python, ECMA 262 and Rust read it alike."""

_search = re.compile(PATTERN).search


def has_visible(text: str) -> bool:
    """Whether `text` has a visible character."""
    # Most texts begin with one in ASCII, and the search costs ten times as much.
    return "!" <= text[:1] <= "~" or _search(text) is not None
