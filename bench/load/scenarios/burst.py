"""Recovery from a burst: ten times the usual load for five seconds, then the usual load again."""

from dataclasses import asdict, dataclass

from bench import progress
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.stage import MIXED, Stage
from bench.load.verdict import LoadVerdict, all_answered, milliseconds, refused_well

SHARE = 0.7
FACTOR, BURST_S, BACK_S = 10.0, 5.0, 10.0
# Allowed ratio of p99 after the burst to before; p99 varies between short windows anyway.
MOST_TIMES = 1.5


@dataclass(frozen=True)
class BurstMeasured:
    """The usual load before the burst, the burst, and the usual load from `BACK_S` after its end."""

    before: Figures
    burst: Figures
    after: Figures


def run(stage: Stage) -> Finding:
    """Run the usual load, the burst and the usual load again on one server."""
    with stage.serve() as service, stage.caller() as caller:
        rate = stage.rate(caller, service, "burst", SHARE)
        with progress.step(f"burst: {FACTOR:g} times {rate:,.0f} requests a second for {BURST_S:g} s"):
            measured = BurstMeasured(*caller.run(service, *plan(rate, stage.pace.seconds, stage.pace.warm_s)).loads)
    loads = {"before": measured.before, "burst": measured.burst, "after": measured.after}
    title = f"{rate:,.0f} requests/s, {FACTOR:g} times as many for {BURST_S:g} s, and {BACK_S:g} s later"
    data = {"rate": rate, **asdict(measured)}
    return Finding(judge(measured), [answers(title, loads)], data)


def plan(rate: float, seconds: float, warm_s: float) -> list[LoadScenario]:
    """Schedule the three loads in sequence: `seconds` each, except the burst."""
    end = warm_s + seconds
    return [
        LoadScenario(MIXED, seconds, warm_s, rate=rate),
        LoadScenario(MIXED, BURST_S, 0.0, rate=FACTOR * rate, delay_s=end, seed=2),
        LoadScenario(MIXED, seconds, 0.0, rate=rate, delay_s=end + BURST_S + BACK_S, seed=3),
    ]


def judge(measured: BurstMeasured) -> list[LoadVerdict]:
    """Judge the usual load's p99 after the burst, and the responses during the burst."""
    times = measured.after.times_p99(measured.before)
    said = (
        f"{times:.2f} times ({milliseconds(measured.before.latency.p99)} before, "
        f"{milliseconds(measured.after.latency.p99)} after)"
    )
    return [
        LoadVerdict(f"{BACK_S:g} s later p99 at most {MOST_TIMES:g} times that before", said, times <= MOST_TIMES),
        all_answered((measured.before, measured.after)),
        refused_well(measured.burst),
    ]
