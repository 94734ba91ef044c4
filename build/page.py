"""Renders sections and tables as terminal text and as markdown; values are escaped, since model files are untrusted."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Inline syntax of GitHub-flavoured markdown: an underscore within a word is none, a bare URL is.
_SPECIAL = re.compile(r"[\\`*\[\]<>#|~&$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_LONGEST = 1000


@dataclass(frozen=True)
class Rows:
    """A table; each row has as many cells as the head."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Commands:
    """Shell commands; not escaped, so they must not contain text from a model's files."""

    lines: Sequence[str]


Part = str | Rows | Commands
"""A paragraph, a table or commands."""


@dataclass(frozen=True)
class Section:
    """A heading and its content."""

    heading: str
    parts: Sequence[Part]


def text(title: str, sections: Sequence[Section]) -> str:
    """Render for a terminal: tables as aligned columns, control characters escaped."""
    blocks = [printable(title)]
    for section in sections:
        parts = ("\n".join(f"  {line}" for line in _plain(part)) for part in section.parts)
        blocks.append(f"{section.heading}:\n" + "\n\n".join(parts))
    return "\n\n".join(blocks)


def markdown(title: str, sections: Sequence[Section]) -> str:
    """Render as GitHub-flavoured markdown."""
    blocks = [f"# {_escaped(title)}"]
    for section in sections:
        blocks += [f"## {section.heading}", *map(_marked, section.parts)]
    return "\n\n".join(blocks) + "\n"


def printable(value: str) -> str:
    """Escape control, format and separator characters, line breaks included; leave out the middle of a long text."""
    short = value if len(value) <= _LONGEST else f"{value[: _LONGEST // 2]} … {value[-_LONGEST // 2 :]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in short)


def _plain(part: Part) -> Iterator[str]:
    if isinstance(part, str):
        yield printable(part)
    elif isinstance(part, Commands):
        yield from part.lines
    else:
        cells = [tuple(map(printable, row)) for row in (part.head, *part.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _marked(part: Part) -> str:
    if isinstance(part, str):
        return _escaped(part)
    if isinstance(part, Commands):
        return "\n".join(["```bash", *part.lines, "```"])
    rows = [tuple(map(_escaped, row)) for row in (part.head, *part.rows)]
    rule = ("---",) * len(part.head)
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def _escaped(value: str) -> str:
    return _SPECIAL.sub(lambda match: "\\" + match[0], printable(value))
