"""docs/models.md: every row of its tables of folders is shown by a test in tests/build, and each shows such a row."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.serving import ROOT

PAGE = ROOT / "docs" / "models.md"
_FIRST_TABLE = "\n## Folders\n"
# What a request gets, which the unit tests of the server show.
_OF_REQUESTS = "a request with"


def rows() -> Iterator[str]:
    """Yield the first cell of every row."""
    tables = re.findall(r"(?:^\|.*\n)+", PAGE.read_text("utf-8").partition(_FIRST_TABLE)[2], re.MULTILINE)
    for table in tables:
        head, _, *body = (line.split(" | ")[0].removeprefix("| ").removesuffix(" |") for line in table.splitlines())
        if head != _OF_REQUESTS:
            yield from body


def shown(path: Path) -> Iterator[str]:
    """Yield the rows that the tests of a file are marked with."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="shows"), args=[ast.Constant(value=str(row))]):
                yield row


def test_every_row_is_shown_by_a_test() -> None:
    marked = {row for path in (ROOT / "tests" / "build").glob("test_*.py") for row in shown(path)}
    assert marked == set(rows())
    assert len(marked) > 40
