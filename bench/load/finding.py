"""What a scenario found: verdicts, tables, raw figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.load.figures import OK, Figures, Latency
from bench.load.verdict import Verdict
from bench.table import Table, number

_MS = 1e3


@dataclass
class Finding:
    """All that one scenario measured; `latencies` are for the chart, `skipped` says who was left out."""

    verdicts: list[Verdict]
    tables: list[Table]
    raw: dict[str, Any]
    latencies: dict[str, Latency] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """Every figure."""
        return {"verdicts": [asdict(verdict) for verdict in self.verdicts], "skipped": self.skipped, **self.raw}


def answers(title: str, loads: Mapping[str, Figures]) -> Table:
    """Lay out what became of each load's requests: a row for each status, and one for each way of getting none."""
    header = ("load", "outcome", "requests", "p50 ms", "p95 ms", "p99 ms", "max ms", "texts/s", "tokens/s")
    return Table(title, header, [row for name, figures in loads.items() for row in _rows(name, figures)])


def _rows(name: str, figures: Figures) -> list[list[str]]:
    rows = []
    for status, found in figures.outcomes.items():
        times = found.latency
        rates = (figures.texts_per_s, figures.tokens_per_s or None) if status == OK else (None, None)
        cells = [number(value * _MS, 1) for value in (times.p50, times.p95, times.p99, times.most)]
        rows.append([name, status, number(found.count), *cells, *(number(rate) for rate in rates)])
    ended = {"unsent": figures.unsent, "no answer": figures.unanswered, "broken": figures.broken}
    rows += [[name, word, number(count), *[number(None)] * 6] for word, count in ended.items() if count]
    return rows
