"""Seven tenths of what the server can do: every request is answered, and few wait much longer than most."""

import math
from dataclasses import asdict

from bench import progress
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.stage import MIXED, Stage
from bench.load.verdict import Verdict, all_answered, milliseconds

SHARE = 0.7
MOST_TIMES = 5.0


def run(stage: Stage) -> Finding:
    """Measure the capacity, and keep up most of it."""
    seconds = stage.pace.steady_s
    with stage.serve() as service, stage.caller() as caller:
        rate = stage.rate(caller, service, "steady", SHARE)
        with progress.step(f"steady: {seconds / 60:g} minutes"):
            figures = caller.run(service, LoadScenario(MIXED, seconds, stage.pace.warm_s, rate=rate)).loads[0]
    title = f"{rate:,.0f} mixed texts a second for {seconds / 60:g} minutes"
    raw = {"rate": rate, "load": asdict(figures)}
    return Finding(judge(figures), [answers(title, {"steady": figures})], raw, {"": figures.latency})


def judge(found: Figures) -> list[Verdict]:
    """Decide on answers, and on how far the slowest hundredth is from the middle."""
    times = found.latency.p99 / found.latency.p50 if found.latency.p50 else math.inf
    said = f"{times:.1f} times ({milliseconds(found.latency.p50)} and {milliseconds(found.latency.p99)})"
    return [
        Verdict(f"p99 at most {MOST_TIMES:g} times p50", said, times <= MOST_TIMES),
        all_answered([found]),
    ]
