"""Generates the tables of docs/reliability.md from the rows and their latest results."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.reliability.outcome import NOT_RUN
from tests.reliability.results import FILE, Result, load
from tests.reliability.row import Row
from tests.reliability.rows import PARTS, ROWS
from tests.serving import ROOT

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- tables: written by make reliability -->", "<!-- end of the tables -->"
_NOTHING = Result(NOT_RUN, "not yet run", "", "", 0)


def write(path: Path, results: Mapping[str, Result]) -> None:
    """Replace the tables of a page.

    Raises:
        ValueError: the page lacks the markers around them.
    """
    page = path.read_text("utf-8")
    path.write_text(page[: page.index(BEGIN)] + tables(ROWS, results) + page[page.index(END) + len(END) :], "utf-8")


def tables(rows: Sequence[Row], results: Mapping[str, Result]) -> str:
    """Format all rows as one table per part, between the markers."""
    parts = []
    for letter, title in PARTS.items():
        lines = [_line(row, results.get(row.id, _NOTHING)) for row in rows if row.id[0] == letter]
        head = ["", f"### {title}", "", "| | promised | shown by | last found |", "|---|---|---|---|"]
        parts += [*head, *lines]
    return "\n".join([BEGIN, *parts, "", END])


def _line(row: Row, result: Result) -> str:
    shown_by = "<br>".join(word for evidence in row.evidence for word in evidence.words())
    source = f" ({result.run}; {result.machine})" if result.run else ""
    return f"| {row.id} | {row.promise} | {shown_by} | **{result.verdict}**: {result.figures}{source} |"


if __name__ == "__main__":
    write(PAGE, load(FILE))
