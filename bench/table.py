"""Format tables as plain text or markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.text_table import aligned

ABSENT = "–"


@dataclass(frozen=True)
class Table:
    """A title, column names, and rows of cells; the first column is the row's name."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Format with aligned columns: names left, figures right."""
        return "\n".join([self.title, *(f"  {line}" for line in aligned([self.header, *self.rows]))])

    def markdown(self) -> str:
        """Format as a markdown table under a bold title."""
        marks = ["---", *("---:" for _ in self.header[1:])]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.header, marks, *self.rows)]
        return "\n".join([f"**{self.title}**", "", *lines])


def number(value: float | None, digits: int = 0) -> str:
    """Format a number with thousands separators, or a dash for None."""
    return ABSENT if value is None else f"{value:,.{digits}f}"


def mega(size: int | None) -> str:
    """Format bytes in megabytes, or a dash for None."""
    return number(size / 1e6 if size is not None else None)
