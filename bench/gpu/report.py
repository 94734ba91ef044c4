"""Results of the GPU benchmark as verdicts, tables, JSON and a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import chart, host
from bench.chart import Bar
from bench.fidelity import ContenderFidelity
from bench.gpu import batches
from bench.load.caller import Run
from bench.load.verdict import LoadVerdict, percent
from bench.rounds import Turns
from bench.spread import Spread, rate, speedup
from bench.subject import BenchSubject
from bench.table import ABSENT, Table, number
from bench.workloads import Workload

OURS, PEAK, TORCH = "ours", "matrix product", "torch"
# Targets for a GPU and a model of BGE-large's size.
LEAST_COSINE, SHARE, TIMES_TORCH, HTTP_SHARE, READY_S = 0.9999, 0.45, 2.0, 0.85, 15.0
_SHARED = ("long", "mixed")
_TERA, _MS, _MICRO = 1e-12, 1e3, 1e6


@dataclass(frozen=True)
class Served:
    """One load on the server, and the bare engine's tokens/s on the same texts."""

    name: str
    run: Run
    engine: float

    @property
    def share(self) -> float:
        """The server's tokens/s as a share of the engine's."""
        return self.run.loads[0].tokens_per_s / self.engine


@dataclass
class GpuReport:
    """All measurements. `turns` has the seconds of each run, by contender and batch."""

    subject: BenchSubject
    host: dict[str, object]
    device: str
    precision: str
    loads: list[Workload]
    config: Mapping[str, Any]
    skipped: dict[str, str]
    fidelity: ContenderFidelity | None = None
    ready_s: float = 0.0
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    turns: dict[str, dict[str, Turns]] = field(default_factory=dict)
    served: list[Served] = field(default_factory=list)
    ceiling: list[Served] = field(default_factory=list)

    def heading(self) -> str:
        """Name the model, the device and the host."""
        name = f"{self.subject.manifest.name}, {self.precision} on {self.device}"
        told = "\n".join(self.notes.get(OURS, {}).get("report", []))
        return "\n".join(filter(None, [name, host.line(self.host, self.subject.threads), told]))

    def speed(self, name: str, load: Workload) -> Spread | None:
        """Return tokens a second, without padding."""
        turns = self.turns.get(name, {}).get(load.name)
        return rate(turns, load.tokens) if turns else None

    def flops(self, load: Workload) -> float | None:
        """Return our useful operations a second; None if the model's configuration is unknown."""
        turns = self.turns[OURS].get(load.name)
        return rate(turns, batches.operations(load, self.config)).median if turns and self.config else None

    def matrix_rate(self, load: Workload) -> float | None:
        """Return the large matrix product's operations a second, from the rounds of this batch."""
        turns = self.turns.get(PEAK, {}).get(load.name)
        return rate(turns, self.notes[PEAK]["operations"]).median if turns else None

    def share(self, load: Workload) -> float | None:
        """Return our useful operations a second as a share of the matrix product's."""
        ours, limit = self.flops(load), self.matrix_rate(load)
        return ours / limit if ours and limit else None

    def times_torch(self, load: Workload) -> float | None:
        """Return the speed-up over torch: the median of per-round ratios."""
        torch = self.turns.get(TORCH, {}).get(load.name)
        return speedup(self.turns[OURS][load.name], torch) if torch else None

    def verdicts(self) -> list[LoadVerdict]:
        """Compare the results with the targets; a missing measurement fails its target."""
        by_name = {load.name: load for load in self.loads}
        on_cpu = self.notes.get(OURS, {}).get("nodes_on_cpu", 0)
        least = self.fidelity.least if self.fidelity else 0.0
        judged = [
            LoadVerdict("no node on the CPU", str(on_cpu), on_cpu == 0),
            LoadVerdict(f"cosine to fp32 on CPU at least {LEAST_COSINE}", f"{least:.6f}", least >= LEAST_COSINE),
        ]
        for name in _SHARED:
            share = self.share(by_name[name]) or 0.0
            asked = f"at least {percent(SHARE, 0)} of the matrix rate, {by_name[name].title}"
            judged.append(LoadVerdict(asked, percent(share), share >= SHARE))
        times = self.times_torch(by_name["mixed"]) or 0.0
        judged.append(LoadVerdict(f"at least {TIMES_TORCH:g} times torch, mixed", f"{times:.2f}", times >= TIMES_TORCH))
        if self.served:
            best = max(served.share for served in self.served[:2])
            asked = f"over HTTP at least {percent(HTTP_SHARE, 0)} of the engine, {self.served[0].name}"
            judged.append(LoadVerdict(asked, percent(best), best >= HTTP_SHARE))
        ready = LoadVerdict(f"ready within {READY_S:g} s", f"{self.ready_s:.1f} s", 0 < self.ready_s <= READY_S)
        return [*judged, ready]

    def sound(self) -> bool:
        """Return whether the results are correct and computed entirely on the device, regardless of speed."""
        return all(verdict.met for verdict in self.verdicts()[:2])

    def tables(self) -> list[Table]:
        """Return the figures as tables."""
        heading = f"Over HTTP, mixed texts; ready {self.ready_s:.1f} s after the start"
        alone = "HTTP alone: the same loads on a server whose engine takes no time"
        return [self._speeds(), _http(heading, self.served), _http(alone, self.ceiling), self._judged()]

    def chart(self) -> str:
        """Draw our and torch's tokens a second as SVG bars."""
        rows = [
            Bar(f"{name}, {load.name}", speed, ours=name == OURS)
            for load in self.loads
            for name in (OURS, TORCH)
            if (speed := self.speed(name, load))
        ]
        return chart.bars(f"{self.subject.manifest.name}, {self.precision} on {self.device}", "tokens/s", rows)

    def json(self) -> dict[str, object]:
        """Return all figures, raw samples included."""
        return {
            **self.subject.json(),
            "host": self.host,
            "device": self.device,
            "precision": self.precision,
            "notes": self.notes,
            "versions": self.versions,
            "skipped": self.skipped,
            "fidelity": asdict(self.fidelity) if self.fidelity else None,
            "ready_s": self.ready_s,
            "batches": {load.name: {**load.json(), **self._figures(load)} for load in self.loads},
            "served": [{**asdict(served), "share": served.share} for served in self.served],
            "ceiling": [{**asdict(served), "share": served.share} for served in self.ceiling],
            "verdicts": [asdict(verdict) for verdict in self.verdicts()],
        }

    def _figures(self, load: Workload) -> dict[str, object]:
        samples = {name: turns[load.name] for name, turns in self.turns.items() if load.name in turns}
        known = {"operations_per_s": self.flops(load), "matrix_rate": self.matrix_rate(load), "share": self.share(load)}
        return {**known, "times_torch": self.times_torch(load), "raw_seconds": samples}

    def _speeds(self) -> Table:
        header = (
            "",
            "tokens/s",
            "least",
            "greatest",
            "useful TFLOP/s",
            "of the matrix rate",
            "torch, tokens/s",
            "times",
        )
        rows = []
        for load in self.loads:
            ours, torch = self.speed(OURS, load), self.speed(TORCH, load)
            flops, share, times = self.flops(load), self.share(load), self.times_torch(load)
            figures = [ours.median, ours.low, ours.high] if ours else [None] * 3
            cells = [load.title, *map(number, figures), number(flops and flops * _TERA, 1)]
            cells += [percent(share) if share else ABSENT, number(torch.median if torch else None), number(times, 2)]
            rows.append(cells)
        return Table("Useful tokens a second; padding does not count", header, rows)

    def _judged(self) -> Table:
        rows = [[verdict.asked, verdict.found, "yes" if verdict.met else "no"] for verdict in self.verdicts()]
        return Table("Asked and found", ("asked", "found", "met"), rows)


def _http(title: str, loads: Sequence[Served]) -> Table:
    rows = []
    for served in loads:
        run, seen = served.run, served.run.loads[0]
        latency = [number(value * _MS, 1) for value in (seen.latency.p50, seen.latency.p99)]
        loop = number(run.loop_cpu_s / max(1, run.texts) * _MICRO)
        speeds = (seen.texts_per_s, seen.tokens_per_s, served.engine)
        rows.append([served.name, *map(number, speeds), percent(served.share), *latency, loop, str(seen.faults)])
    header = ("", "texts/s", "tokens/s", "engine", "share", "p50 ms", "p99 ms", "event loop, µs a text", "faults")
    return Table(title, header, rows)
