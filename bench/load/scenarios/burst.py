"""Ten times the usual load for five seconds: soon afterwards nobody notices that it was there."""

from dataclasses import asdict, dataclass

from bench import progress
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.stage import MIXED, Stage
from bench.load.verdict import Verdict, all_answered, milliseconds, refused_well

SHARE = 0.7
FACTOR, BURST_S, BACK_S = 10.0, 5.0, 10.0
# Of the usual 99th percentile, which differs by itself from one short time to the next.
MOST_TIMES = 1.5


@dataclass(frozen=True)
class BurstMeasured:
    """The usual load before the burst, the burst, and the usual load again, `BACK_S` after the burst's end."""

    before: Figures
    burst: Figures
    after: Figures


def run(stage: Stage) -> Finding:
    """Put the usual load, the burst and the usual load again on a server, with nothing between."""
    with stage.serve() as service, stage.caller() as caller:
        rate = stage.rate(caller, service, "burst", SHARE)
        with progress.step(f"burst: {FACTOR:g} times {rate:,.0f} requests a second for {BURST_S:g} s"):
            found = BurstMeasured(*caller.run(service, *plan(rate, stage.pace.seconds, stage.pace.warm_s)).loads)
    loads = {"before": found.before, "burst": found.burst, "after": found.after}
    title = f"{rate:,.0f} requests/s, {FACTOR:g} times as many for {BURST_S:g} s, and {BACK_S:g} s later"
    raw = {"rate": rate, **asdict(found)}
    return Finding(judge(found), [answers(title, loads)], raw, {name: load.latency for name, load in loads.items()})


def plan(rate: float, seconds: float, warm_s: float) -> list[LoadScenario]:
    """Plan the three loads one after the other, `seconds` each but for the burst, which is short."""
    end = warm_s + seconds
    return [
        LoadScenario(MIXED, seconds, warm_s, rate=rate),
        LoadScenario(MIXED, BURST_S, 0.0, rate=FACTOR * rate, delay_s=end, seed=2),
        LoadScenario(MIXED, seconds, 0.0, rate=rate, delay_s=end + BURST_S + BACK_S, seed=3),
    ]


def judge(found: BurstMeasured) -> list[Verdict]:
    """Decide on the usual load's latency after the burst, and on how the burst was answered."""
    times = found.after.times_p99(found.before)
    said = (
        f"{times:.2f} times ({milliseconds(found.before.latency.p99)} before, "
        f"{milliseconds(found.after.latency.p99)} after)"
    )
    return [
        Verdict(f"{BACK_S:g} s later p99 at most {MOST_TIMES:g} times that before", said, times <= MOST_TIMES),
        all_answered((found.before, found.after)),
        refused_well(found.burst),
    ]
