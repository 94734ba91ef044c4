"""Effect of thousands of idle connections on the latency of others."""

import resource
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.call import HEALTH
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.scenarios import beside
from bench.load.stage import MIXED, Stage
from bench.load.verdict import LoadVerdict, all_answered, milliseconds, percent

MOST_SLOWER = 0.10
HEALTH_S = 0.100
# Requests a second.
PROBES = 20.0
# File descriptors reserved for everything but the idle connections.
_OTHER_FILES = 512


@dataclass(frozen=True)
class IdlePair(beside.Pair):
    """One round without idle connections and one with `held` of them, counted at its end.

    `health` has the figures of the health probes in the second.
    """

    health: Figures
    held: int

    @property
    def slower(self) -> float:
        """The relative increase of p99."""
        return self.times - 1.0


def run(stage: Stage) -> Finding:
    """Alternate rounds without and with idle connections."""
    pace = stage.pace
    wanted, hard_limit = pace.idle, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    can = max(0, min(wanted, hard_limit - _OTHER_FILES))
    pairs: list[IdlePair] = []
    with stage.serve() as service, stage.caller() as caller:
        rate = max(beside.LEAST_RATE, stage.rate(caller, service, "idle", beside.SHARE))
        for number in range(pace.rounds):
            load = LoadScenario(MIXED, pace.seconds, pace.warm_s, rate=rate, seed=number)
            probes = LoadScenario(MIXED, pace.seconds, pace.warm_s, texts=0, rate=PROBES, dialect=HEALTH)
            with progress.step(f"idle: round {number + 1} of {pace.rounds}"):
                alone = caller.run(service, load).loads[0]
                crowded = caller.run(service, load, probes, idle=can)
            crowded_load, health = crowded.loads
            pairs.append(IdlePair(alone, crowded_load, health, crowded.idle))
    last = {"alone": pairs[-1].alone, f"beside {pairs[-1].held:,} idle": pairs[-1].beside}
    data = {"rate": rate, "hard_limit": hard_limit, "rounds": [asdict(p) | {"slower": p.slower} for p in pairs]}
    title = f"{rate:,.0f} mixed texts a second; last round"
    return Finding(judge(pairs, wanted, hard_limit), [answers(title, last)], data)


def judge(pairs: Sequence[IdlePair], wanted: int, hard_limit: int) -> list[LoadVerdict]:
    """Judge the median of the rounds, the probes, and the number of connections held."""
    slower = beside.times(pairs) - 1.0
    held = min(pair.held for pair in pairs)
    short = "" if held >= wanted else f"; a process here may open {hard_limit:,} files"
    health = max(pair.health.latency.p99 for pair in pairs)
    said = f"{slower * 100:+.1f} % ({beside.summary(pairs)})"
    return [
        LoadVerdict(f"p99 at most {percent(MOST_SLOWER, 0)} above that alone", said, slower <= MOST_SLOWER),
        LoadVerdict(f"health's p99 within {milliseconds(HEALTH_S)}", milliseconds(health), health < HEALTH_S),
        LoadVerdict(f"{wanted:,} idle connections held", f"{held:,}{short}", held >= wanted),
        all_answered(figures for pair in pairs for figures in (pair.alone, pair.beside, pair.health)),
    ]
