"""Short queries beside one caller who sends as much as it can: they must not wait for it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.call import MANY
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.stage import LONG, SHORT_QUERIES, Stage
from bench.load.verdict import Verdict, all_answered, milliseconds

MOST_TIMES = 3.0
BULK_TEXTS = 256
# Of what the server answers to mixed texts: far from busy, yet enough queries for a 99th percentile.
_MODEST = 0.1


@dataclass(frozen=True)
class BulkPair:
    """A round of the short queries alone, and one beside the bulk caller."""

    alone: Figures
    beside: Figures
    bulk: Figures

    @property
    def times(self) -> float:
        """How many times as long the slowest hundredth of the queries takes."""
        return self.beside.times_p99(self.alone)

    def loads(self) -> dict[str, Figures]:
        """The loads by their names in the table."""
        return {"alone": self.alone, "beside bulk": self.beside, "bulk": self.bulk}


def run(stage: Stage) -> Finding:
    """Let the queries run alone and beside the bulk caller in turns."""
    pace = stage.pace
    pairs: list[BulkPair] = []
    with stage.serve() as service, stage.caller() as caller:
        with progress.step("bulk: capacity"):
            rate = max(2.0, _MODEST * stage.capacity(caller, service).loads[0].texts_per_s)
        big = LoadScenario(LONG, pace.seconds, pace.warm_s, texts=BULK_TEXTS, clients=1, dialect=MANY)
        for number in range(pace.rounds):
            queries = LoadScenario(SHORT_QUERIES, pace.seconds, pace.warm_s, rate=rate, seed=number)
            with progress.step(f"bulk: round {number + 1} of {pace.rounds}"):
                alone = caller.run(service, queries).loads[0]
                beside, bulk = caller.run(service, queries, big).loads
            pairs.append(BulkPair(alone, beside, bulk))
    last = pairs[-1].loads()
    title = f"{rate:,.0f} short queries a second, and requests of {BULK_TEXTS} texts of 100 tokens; last round"
    raw = {"rate": rate, "rounds": [asdict(pair) | {"times": pair.times} for pair in pairs]}
    latencies = {"alone": pairs[-1].alone.latency, "beside": pairs[-1].beside.latency}
    return Finding(judge(pairs), [answers(title, last)], raw, latencies)


def judge(pairs: Sequence[BulkPair]) -> list[Verdict]:
    """Decide by the median of the rounds."""
    times = statistics.median(pair.times for pair in pairs)
    alone, beside = (
        statistics.median(figures.latency.p99 for figures in side)
        for side in ([pair.alone for pair in pairs], [pair.beside for pair in pairs])
    )
    fewest = min(figures.good for pair in pairs for figures in (pair.alone, pair.beside))
    said = (
        f"{times:.1f} times ({milliseconds(alone)} alone, {milliseconds(beside)} beside; {fewest} requests in a round)"
    )
    return [
        Verdict(f"short queries' p99 at most {MOST_TIMES:g} times that alone", said, times <= MOST_TIMES),
        all_answered(figures for pair in pairs for figures in pair.loads().values()),
    ]
