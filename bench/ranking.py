"""Results of `python -m bench run` as tables, JSON and a chart for each workload."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import chart, host
from bench.catalog import PEAKS, Entry
from bench.chart import Bar
from bench.contenders.peak import OPERATIONS
from bench.rounds import Turns
from bench.spread import Spread, rate, seconds, speedup
from bench.subject import BenchSubject
from bench.table import ABSENT, Table, mega, number
from bench.workloads import Workload

REFERENCE = "torch-fp32"
_GIGA = 1e-9


@dataclass
class Standing:
    """All measurements of one contender. Memory in bytes, times in seconds.

    `agreement` is the mean cosine of its vectors to the reference's on real texts: it shows that both compute the same
    model.
    """

    entry: Entry
    load_s: float = 0.0
    resident_at_rest: int | None = None
    resident_at_end: int | None = None
    agreement: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    turns: dict[str, Turns] = field(default_factory=dict)

    def speed(self, workload: Workload) -> Spread | None:
        """Return tokens a second, without padding."""
        done = self.turns.get(workload.name)
        return rate(done, workload.tokens) if done else None


@dataclass
class Ranking:
    """One `Standing` for each contender that ran, the reason for each that did not, and the machine's peak.

    `peaks` has the turns of the two large matrix products, by kind and workload. `operations` counts the linear layers'
    operations per token, None if the configuration is unknown. `reference` names the contender for `agreement`,
    `against` the requested baseline for speed-ups.
    """

    subject: BenchSubject
    host: dict[str, object]
    workloads: list[Workload]
    standings: dict[str, Standing]
    skipped: dict[str, str]
    peaks: dict[str, dict[str, Turns]]
    operations: int | None
    against: str = REFERENCE
    reference: str = ""

    @property
    def baseline(self) -> str:
        """The baseline of speed-ups: the requested contender, or the first that ran."""
        return self.against if self.against in self.standings else next(iter(self.standings), "")

    def json(self) -> dict[str, Any]:
        """Return all figures, raw samples included."""
        return {
            "kind": "run",
            **self.subject.json(),
            "machine": self.host,
            "operations_per_token": self.operations,
            "baseline": self.baseline,
            "reference": self.reference,
            "workloads": {workload.name: workload.json() for workload in self.workloads},
            "peaks": {
                kind: {"operations": OPERATIONS, "operations_per_s": self.peak(kind), "raw_seconds": turns}
                for kind, turns in self.peaks.items()
            },
            "contenders": {name: self._standing_json(standing) for name, standing in self.standings.items()},
            "skipped": self.skipped,
        }

    def heading(self) -> str:
        """Name the model, the machine and its peaks."""
        limits = [f"{kind} {number(speed * _GIGA)}" for kind in self.peaks if (speed := self.peak(kind))]
        machine = host.line(self.host, self.subject.threads)
        return f"{self.subject.manifest.name} on {machine}\nlarge matrix product, G operations/s: {', '.join(limits)}"

    def tables(self) -> list[Table]:
        """Return throughput, its range, speed-up, share of the peak, and a description of each contender."""
        base = self.baseline
        return [
            self._matrix("Useful tokens/s, median of the rounds", self._median),
            self._matrix("Useful tokens/s, least–greatest", self._range),
            self._matrix(f"Times as fast as {base}", lambda s, w: number(self.speedup(s, w), 2)),
            self._matrix(
                "Share of the machine's own limit in int8 or fp32 (for 16 bits: fp32's, so it may exceed 100 %)",
                lambda s, w: _percent(self.share(s, w)),
            ),
            self._roster(),
        ]

    def charts(self) -> dict[str, str]:
        """Return an SVG chart for each workload, by name."""
        return {workload.name: self._chart(workload) for workload in self.workloads}

    def speedup(self, standing: Standing, workload: Workload) -> float | None:
        """Return the speed-up over the baseline: the median of per-round ratios."""
        done = standing.turns.get(workload.name)
        base = self.standings[self.baseline].turns.get(workload.name)
        return speedup(done, base) if done and base else None

    def share(self, standing: Standing, workload: Workload) -> float | None:
        """Return the linear layers' operations a second, padding excluded, as a share of the peak."""
        speed, limit = standing.speed(workload), self.peak(standing.entry.limit)
        return speed.median * self.operations / limit if speed and limit and self.operations else None

    def peak(self, kind: str) -> float | None:
        """Return the peak operations a second: the large matrix product's fastest run."""
        runs = [seconds for turns in self.peaks.get(kind, {}).values() for turn in turns for seconds in turn]
        return OPERATIONS / min(runs) if runs else None

    def _standing_json(self, standing: Standing) -> dict[str, Any]:
        entry = standing.entry
        return {
            "environment": entry.environment,
            "precision": entry.precision,
            "ours": entry.ours,
            "versions": standing.versions,
            "notes": standing.notes,
            "load_s": standing.load_s,
            "resident_at_rest": standing.resident_at_rest,
            "resident_at_end": standing.resident_at_end,
            "agreement": standing.agreement,
            "workloads": {
                w.name: {
                    "tokens_per_s": speed.json(),
                    "seconds": seconds(standing.turns[w.name]).json(),
                    "speedup": self.speedup(standing, w),
                    "share_of_peak": self.share(standing, w),
                    "raw_seconds": standing.turns[w.name],
                }
                for w in self.workloads
                if (speed := standing.speed(w))
            },
        }

    def _matrix(self, title: str, cell: Callable[[Standing, Workload], str]) -> Table:
        rows = [[name, *(cell(standing, w) for w in self.workloads)] for name, standing in self.standings.items()]
        return Table(title, ["contender", *(workload.name for workload in self.workloads)], rows)

    def _roster(self) -> Table:
        header = ("contender", "load s", "MB at rest", "MB at the end", f"cosine to {self.reference}", "versions")
        rows = []
        for name, standing in self.standings.items():
            versions = " ".join(f"{package} {version}" for package, version in standing.versions.items())
            memory = [mega(standing.resident_at_rest), mega(standing.resident_at_end)]
            rows.append([name, number(standing.load_s, 1), *memory, number(standing.agreement, 5), versions])
        return Table("Who took part", header, rows)

    def _chart(self, workload: Workload) -> str:
        rows = [
            Bar(name, speed, standing.entry.ours)
            for name, standing in self.standings.items()
            if (speed := standing.speed(workload))
        ]
        title = f"{self.subject.manifest.name}: {workload.title}"
        return chart.bars(title, f"useful tokens/s, {self.subject.threads} threads; higher is better", rows)

    def _median(self, standing: Standing, workload: Workload) -> str:
        speed = standing.speed(workload)
        return number(speed.median if speed else None)

    def _range(self, standing: Standing, workload: Workload) -> str:
        speed = standing.speed(workload)
        return f"{number(speed.low)}–{number(speed.high)}" if speed else ABSENT


def no_peaks() -> dict[str, dict[str, Turns]]:
    """Return an empty table of turns for each large matrix product."""
    return {entry.precision: {} for entry in PEAKS}


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{share:.0%}"
