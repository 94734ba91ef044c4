"""A scenario's results: verdicts, tables, raw figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.load.figures import OK, Figures
from bench.load.verdict import LoadVerdict
from bench.table import Table, number

_MS = 1e3


@dataclass
class Finding:
    """Results of one scenario; `skipped` has the services left out and why."""

    verdicts: list[LoadVerdict]
    tables: list[Table]
    figures: dict[str, Any]
    skipped: dict[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Return all figures."""
        return {"verdicts": [asdict(verdict) for verdict in self.verdicts], "skipped": self.skipped, **self.figures}


def answers(title: str, loads: Mapping[str, Figures]) -> Table:
    """Tabulate each load's requests: a row per status, and one per kind of failure."""
    header = ("load", "outcome", "requests", "p50 ms", "p95 ms", "p99 ms", "max ms", "texts/s", "tokens/s")
    return Table(title, header, [row for name, figures in loads.items() for row in _rows(name, figures)])


def _rows(name: str, figures: Figures) -> list[list[str]]:
    rows = []
    for status, outcome in figures.outcomes.items():
        times = outcome.latency
        rates = (figures.texts_per_s, figures.tokens_per_s or None) if status == OK else (None, None)
        cells = [number(value * _MS, 1) for value in (times.p50, times.p95, times.p99, times.most)]
        rows.append([name, status, number(outcome.count), *cells, *(number(rate) for rate in rates)])
    ended = {"unsent": figures.unsent, "no answer": figures.unanswered, "broken": figures.broken}
    rows += [[name, word, number(count), *[number(None)] * 6] for word, count in ended.items() if count]
    return rows
