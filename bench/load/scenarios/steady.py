"""Steady load at 70 % of capacity: every request succeeds, and p99 stays close to p50."""

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
    """Measure the capacity, then run a share of it."""
    seconds = stage.pace.steady_s
    with stage.serve() as service, stage.caller() as caller:
        rate = stage.rate(caller, service, "steady", SHARE)
        with progress.step(f"steady: {seconds / 60:g} minutes"):
            figures = caller.run(service, LoadScenario(MIXED, seconds, stage.pace.warm_s, rate=rate)).loads[0]
    title = f"{rate:,.0f} mixed texts a second for {seconds / 60:g} minutes"
    data = {"rate": rate, "load": asdict(figures)}
    return Finding(judge(figures), [answers(title, {"steady": figures})], data)


def judge(figures: Figures) -> list[Verdict]:
    """Judge the responses and the ratio of p99 to p50."""
    times = figures.latency.p99 / figures.latency.p50 if figures.latency.p50 else math.inf
    said = f"{times:.1f} times ({milliseconds(figures.latency.p50)} and {milliseconds(figures.latency.p99)})"
    return [
        Verdict(f"p99 at most {MOST_TIMES:g} times p50", said, times <= MOST_TIMES),
        all_answered([figures]),
    ]
