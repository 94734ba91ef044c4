"""Steady load at 70 % of capacity: every request succeeds, and p99 stays close to p50.

The capacity is measured again before every minute: on a machine whose speed drifts, 70 % of what it computed half an
hour ago may be more than it computes now.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.caller import Caller
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.service import LoadedService
from bench.load.stage import MIXED, Stage
from bench.load.verdict import LoadVerdict, all_answered, milliseconds
from bench.spread import spread
from bench.table import Table, number

SHARE = 0.7
MOST_TIMES = 5.0
_PART_S = 60.0


@dataclass(frozen=True)
class SteadyPart:
    """One part of the load: the requests a second, a share of the capacity just measured, and their figures."""

    rate: float
    load: Figures

    @property
    def times(self) -> float:
        """The ratio of p99 to p50; infinite if nothing succeeded."""
        latency = self.load.latency
        return latency.p99 / latency.p50 if latency.p50 else math.inf


def run(stage: Stage) -> Finding:
    """Alternate between measuring the capacity and a minute of a share of it."""
    seconds = stage.pace.steady_s
    count = max(1, round(seconds / _PART_S))
    with stage.serve() as service, stage.caller() as caller:
        parts = [_part(stage, caller, service, seconds / count, f"{i + 1} of {count}") for i in range(count)]
    last = parts[-1]
    title = f"{last.rate:,.0f} mixed texts a second, last of {count} parts of {seconds / count:g} s"
    data = {"parts": [asdict(part) for part in parts]}
    return Finding(judge(parts), [_spread(parts), answers(title, {"steady": last.load})], data)


def judge(parts: Sequence[SteadyPart]) -> list[LoadVerdict]:
    """Judge the responses, and the ratio of p99 to p50 in the median part; the worst part is stated."""
    middle = statistics.median(part.times for part in parts)
    worst = max(parts, key=lambda part: part.times)
    above = sum(part.times > MOST_TIMES for part in parts)
    latency = worst.load.latency
    said = (
        f"{middle:.1f} times, median of {len(parts)} parts; {above} above, "
        f"at most {worst.times:.1f} times ({milliseconds(latency.p50)} and {milliseconds(latency.p99)})"
    )
    return [
        LoadVerdict(f"p99 at most {MOST_TIMES:g} times p50", said, middle <= MOST_TIMES),
        all_answered(part.load for part in parts),
    ]


def _part(stage: Stage, caller: Caller, service: LoadedService, seconds: float, name: str) -> SteadyPart:
    rate = stage.rate(caller, service, "steady", SHARE)
    with progress.step(f"steady: {rate:,.0f} requests a second, part {name}"):
        load = LoadScenario(MIXED, seconds, stage.pace.warm_s, rate=rate)
        return SteadyPart(rate, caller.run(service, load).loads[0])


def _spread(parts: Sequence[SteadyPart]) -> Table:
    columns = {
        "requests/s": [part.rate for part in parts],
        "p50 ms": [part.load.latency.p50 * 1e3 for part in parts],
        "p99 ms": [part.load.latency.p99 * 1e3 for part in parts],
        "p99 / p50": [part.times for part in parts],
    }
    rows = []
    for name, values in columns.items():
        figures = spread(values)
        rows.append([name, *(number(value, 1) for value in (figures.median, figures.low, figures.high))])
    return Table(
        f"{len(parts)} parts, each at {SHARE:.0%} of the capacity before it", ("", "median", "least", "greatest"), rows
    )
