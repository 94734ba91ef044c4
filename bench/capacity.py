"""`python -m bench capacity`: estimate servers for a load and hours for a corpus from measured throughput."""

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import chart
from bench.table import Table, number

FLEETS = (1, 2, 4, 8, 16, 32)
_TRAFFICS = (0.25, 0.5, 1.0, 1.5, 2.0)
_HOUR_S = 3600.0


@dataclass(frozen=True)
class CapacitySpeed:
    """Measured throughput of one server, in tokens a second without padding, and its source."""

    tokens_per_s: float
    source: str


@dataclass(frozen=True)
class Traffic:
    """Peak traffic and the headroom to plan for.

    `utilisation` is the target load as a share of a server's throughput, `spare` the number of redundant servers.
    """

    texts_per_s: float
    tokens_per_text: float
    utilisation: float
    spare: int


@dataclass(frozen=True)
class CorpusSize:
    """A corpus to embed once at full speed."""

    texts: float
    tokens_per_text: float


@dataclass(frozen=True)
class CapacityPlan:
    """Servers for the peak traffic and hours for the corpus; either input may be None."""

    speed: CapacitySpeed
    traffic: Traffic | None
    corpus: CorpusSize | None

    def heading(self) -> str:
        """State the throughput that the plan is based on."""
        return f"one server: {number(self.speed.tokens_per_s)} tokens/s ({self.speed.source})"

    def tables(self) -> list[Table]:
        """Return servers by traffic, and time by number of servers."""
        parts = [self._servers(self.traffic)] if self.traffic else []
        return parts + ([self._hours(self.corpus)] if self.corpus else [])

    def charts(self) -> dict[str, str]:
        """Return the tables as SVG charts, by file name without suffix."""
        drawn = {"servers": self._draw_servers(self.traffic)} if self.traffic else {}
        return drawn | ({"hours": self._draw_hours(self.corpus)} if self.corpus else {})

    def json(self) -> dict[str, Any]:
        """Return all inputs and both results."""
        traffic, corpus, speed = self.traffic, self.corpus, self.speed.tokens_per_s
        return {
            "kind": "capacity",
            "speed": asdict(self.speed),
            "traffic": asdict(traffic) | {"servers": servers(traffic, speed)} if traffic else None,
            "corpus": asdict(corpus) | {"hours": {n: hours(corpus, speed, n) for n in FLEETS}} if corpus else None,
        }

    def _servers(self, traffic: Traffic) -> Table:
        rows = []
        for factor in _TRAFFICS:
            asked = replace(traffic, texts_per_s=traffic.texts_per_s * factor)
            needed = servers(asked, self.speed.tokens_per_s)
            tokens = asked.texts_per_s * asked.tokens_per_text
            use = tokens / (needed * self.speed.tokens_per_s)
            rows.append([number(asked.texts_per_s, 1), number(tokens), number(needed), f"{use:.0%}"])
        title = f"Servers, each used to {traffic.utilisation:.0%} at most, with {traffic.spare} to spare"
        return Table(title, ("texts/s", "tokens/s", "servers", "used with all of them up"), rows)

    def _hours(self, corpus: CorpusSize) -> Table:
        tokens = corpus.texts * corpus.tokens_per_text
        rows = [[number(count), duration(hours(corpus, self.speed.tokens_per_s, count))] for count in FLEETS]
        return Table(f"Time for {number(corpus.texts)} texts, {number(tokens)} tokens", ("servers", "time"), rows)

    def _draw_servers(self, traffic: Traffic) -> str:
        speed = self.speed.tokens_per_s
        needed = servers(traffic, speed)
        each = speed * traffic.utilisation / traffic.tokens_per_text
        # A step function up to twice the traffic: one more server at each multiple of one server's share.
        count = math.ceil(2 * traffic.texts_per_s / each)
        stair = [(each * (step + rise), 1.0 + step + traffic.spare) for step in range(count) for rise in (0, 1)]
        title = f"Servers for a traffic, at {number(speed)} tokens/s each"
        mark = (traffic.texts_per_s, float(needed), f"{needed} at {number(traffic.texts_per_s)} texts/s")
        across = f"texts/s of {number(traffic.tokens_per_text)} tokens"
        return chart.curve(title, across, f"servers, {traffic.spare} to spare", stair, mark)

    def _draw_hours(self, corpus: CorpusSize) -> str:
        speed = self.speed.tokens_per_s
        points = [(float(count), hours(corpus, speed, count)) for count in range(1, FLEETS[3] + 1)]
        mark = (1.0, points[0][1], f"{duration(points[0][1])} on one server")
        return chart.curve(f"Hours for {number(corpus.texts)} texts", "servers", "hours", points, mark)


def servers(traffic: Traffic, tokens_per_s: float) -> int:
    """Return the number of servers for the traffic: at least one, plus `traffic.spare`."""
    needed = traffic.texts_per_s * traffic.tokens_per_text / (tokens_per_s * traffic.utilisation)
    return max(1, math.ceil(needed)) + traffic.spare


def hours(corpus: CorpusSize, tokens_per_s: float, count: int) -> float:
    """Return the hours that `count` servers need for the corpus with no other traffic."""
    return corpus.texts * corpus.tokens_per_text / (tokens_per_s * count) / _HOUR_S


def duration(time_h: float) -> str:
    """Format hours: in minutes below two hours, in days from 48 hours."""
    if time_h < 2:
        return f"{number(time_h * 60, 1)} min"
    return f"{number(time_h, 1)} h" if time_h < 48 else f"{number(time_h / 24, 1)} days"


def measured(report: Mapping[str, Any], variant: str, workload: str) -> float:
    """Read the median tokens/s of a variant from the JSON of `bench compare` or `bench run`.

    Raises:
        ValueError: no such variant or workload; the message lists those in the file.
    """
    entries = report.get("variants") or report.get("contenders") or {}
    if variant not in entries:
        raise ValueError(f"no figures for {variant}: the file has {', '.join(entries) or 'none'} (--variant)")
    entry = entries[variant]
    speeds = entry.get("tokens_per_s") or {name: one["tokens_per_s"] for name, one in entry["workloads"].items()}
    if workload not in speeds:
        raise ValueError(f"no figures for {workload}: the file has {', '.join(speeds) or 'none'} (--workload)")
    return float(speeds[workload]["median"])


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m bench capacity`."""
    speed = command.add_mutually_exclusive_group(required=True)
    speed.add_argument("--tokens-per-s", type=_positive, help="what one server was measured at")
    speed.add_argument("--figures", type=Path, help="JSON of `make compare` or `make bench` to read it from")
    command.add_argument("--variant", default="int8", help="which figures to read (int8)")
    command.add_argument("--workload", default="16-mixed", help="which figures to read (16-mixed)")
    command.add_argument("--texts-per-s", type=_positive, help="the greatest traffic to answer")
    command.add_argument("--tokens-per-text", type=_positive, default=128.0, help="of the traffic (128)")
    command.add_argument("--utilisation", type=_share, default=0.7, help="share of a server's speed to use (0.7)")
    command.add_argument("--spare", type=int, choices=range(10), default=1, help="servers that may be missing (1)")
    command.add_argument("--corpus-texts", type=_positive, help="texts to embed once")
    command.add_argument("--corpus-tokens-per-text", type=_positive, default=256.0, help="of the corpus (256)")
    command.add_argument("--charts", type=Path, help="folder for an SVG of each answer")
    command.add_argument("--json", type=Path, help="write the plan")
    command.add_argument("--markdown", action="store_true", help="print markdown tables")


def plan(given: argparse.Namespace) -> CapacityPlan:
    """Compute the plan for the given options.

    Raises:
        ValueError: neither traffic nor corpus is given, or the file lacks the figures.
        OSError: the file cannot be read.
    """
    if not given.texts_per_s and not given.corpus_texts:
        raise ValueError("nothing to plan: give --texts-per-s, --corpus-texts or both")
    if given.figures:
        figure = measured(json.loads(given.figures.read_text("utf-8")), given.variant, given.workload)
        speed = CapacitySpeed(figure, f"{given.figures.name}: {given.variant}, {given.workload}")
    else:
        speed = CapacitySpeed(given.tokens_per_s, "as given")
    asked = (given.texts_per_s, given.tokens_per_text, given.utilisation, given.spare)
    traffic = Traffic(*asked) if given.texts_per_s else None
    corpus = CorpusSize(given.corpus_texts, given.corpus_tokens_per_text) if given.corpus_texts else None
    return CapacityPlan(speed, traffic, corpus)


def _positive(value: str) -> float:
    try:
        number_given = float(value)
    except ValueError:
        number_given = math.nan
    if not 0 < number_given < math.inf:
        raise argparse.ArgumentTypeError(f"{value!r}: a number greater than 0")
    return number_given


def _share(value: str) -> float:
    share = _positive(value)
    if share > 1:
        raise argparse.ArgumentTypeError(f"{value!r}: a share, greater than 0 and at most 1")
    return share
