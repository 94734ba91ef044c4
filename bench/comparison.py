"""Results of `python -m bench compare` as tables, JSON and a chart of speed against fidelity."""

from dataclasses import asdict, dataclass, field
from typing import Any

from bench import chart, host
from bench.chart import Point
from bench.fidelity import NEIGHBOURS, ContenderFidelity
from bench.rounds import Turns
from bench.spread import Spread, rate, seconds, spread
from bench.subject import BenchSubject
from bench.table import ABSENT, Table, mega, number
from bench.workloads import Workload

WORKLOADS = ("1x16", "1x128", "8x128", "16-mixed")
LATENCY = "1x16"
_MILLI = 1e3


@dataclass
class VariantFigures:
    """All measurements of one variant. Memory in bytes, times in seconds."""

    file: str
    file_bytes: int
    load_s: list[float] = field(default_factory=list)
    resident_at_rest: int | None = None
    resident_after_largest_batch: int | None = None
    resident_at_end: int | None = None
    turns: dict[str, Turns] = field(default_factory=dict)
    fidelity: ContenderFidelity | None = None
    spearman: float | None = None
    versions: dict[str, str] = field(default_factory=dict)

    def latency(self) -> Spread | None:
        """Return the seconds for one short text."""
        return seconds(self.turns[LATENCY]) if LATENCY in self.turns else None

    def speed(self, workload: Workload) -> Spread | None:
        """Return tokens a second, without padding."""
        done = self.turns.get(workload.name)
        return rate(done, workload.tokens) if done else None

    def json(self, workloads: list[Workload]) -> dict[str, Any]:
        """Return raw figures and their summaries."""
        latency, speeds = self.latency(), {workload.name: self.speed(workload) for workload in workloads}
        return {
            **asdict(self),
            "latency_s": latency.json() if latency else None,
            "tokens_per_s": {name: speed.json() for name, speed in speeds.items() if speed},
        }


@dataclass
class VariantComparison:
    """One `VariantFigures` for each variant that ran, and the reason for each that did not."""

    subject: BenchSubject
    host: dict[str, object]
    workloads: list[Workload]
    variants: dict[str, VariantFigures]
    skipped: dict[str, str]
    texts: int
    pairs: int

    def json(self) -> dict[str, Any]:
        """Return all figures, raw samples included."""
        return {
            "kind": "compare",
            **self.subject.json(),
            "machine": self.host,
            "fidelity_texts": self.texts,
            "pairs": self.pairs,
            "workloads": {workload.name: workload.json() for workload in self.workloads},
            "variants": {name: measured.json(self.workloads) for name, measured in self.variants.items()},
            "skipped": self.skipped,
        }

    def heading(self) -> str:
        """Name the model and the machine."""
        return f"{self.subject.manifest.name} on {host.line(self.host, self.subject.threads)}"

    def tables(self) -> list[Table]:
        """Return size and memory, speed, and fidelity, with a row for each variant."""
        return [self._size(), self._speed(), self._fidelity()]

    def chart(self) -> str:
        """Return an SVG of speed on the last workload (mixed texts) against neighbour overlap."""
        workload = self.workloads[-1]
        points = [
            Point(name, measured.fidelity.overlap, speed)
            for name, measured in self.variants.items()
            if measured.fidelity and (speed := measured.speed(workload))
        ]
        return chart.scatter(
            f"{self.subject.manifest.name}: speed against fidelity",
            f"share of the {NEIGHBOURS} nearest neighbours that fp32 finds, {self.texts} texts",
            f"tokens/s, {workload.title}, {self.subject.threads} threads",
            points,
        )

    def _size(self) -> Table:
        header = ("variant", "file MB", "load s", "MB at rest", "MB after largest batch", "MB at the end")
        rows = []
        for name, measured in self.variants.items():
            memory = (measured.resident_at_rest, measured.resident_after_largest_batch, measured.resident_at_end)
            load = spread(measured.load_s).median
            rows.append([name, mega(measured.file_bytes), number(load, 2), *map(mega, memory)])
        return Table("Size, start and resident memory of a process that holds only this variant", header, rows)

    def _speed(self) -> Table:
        header = ("variant", "ms, 1 short text", *(f"tokens/s, {workload.name}" for workload in self.workloads))
        rows = [
            [name, _spread(measured.latency(), _MILLI, 1), *(_spread(measured.speed(w)) for w in self.workloads)]
            for name, measured in self.variants.items()
        ]
        return Table("Speed on CPU, median (least–greatest)", header, rows)

    def _fidelity(self) -> Table:
        header = ["variant", "cosine, mean", "cosine, least", f"{NEIGHBOURS} neighbours shared"]
        header += ["Spearman"] if self.pairs else []
        rows = []
        for name, measured in self.variants.items():
            fidelity = measured.fidelity
            figures = (fidelity.mean, fidelity.least, fidelity.overlap) if fidelity else (None, None, None)
            cells = [number(figure, digits) for figure, digits in zip(figures, (6, 6, 4), strict=True)]
            rows.append([name, *cells, *([number(measured.spearman, 4)] if self.pairs else [])])
        return Table(f"Fidelity to fp32 on {self.texts} texts", header, rows)


def _spread(figure: Spread | None, factor: float = 1.0, digits: int = 0) -> str:
    if figure is None:
        return ABSENT
    median, low, high = (number(value * factor, digits) for value in (figure.median, figure.low, figure.high))
    return f"{median} ({low}–{high})"
