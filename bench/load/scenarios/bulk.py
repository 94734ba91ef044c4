"""Fairness: latency of short queries while one bulk client saturates the server."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.call import MANY
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.scenarios import beside
from bench.load.stage import LONG, SHORT_QUERIES, Stage
from bench.load.verdict import LoadVerdict, all_answered

MOST_TIMES = 3.0
BULK_TEXTS = 256


@dataclass(frozen=True)
class BulkPair(beside.Pair):
    """One round of short queries alone and one beside the bulk client."""

    bulk: Figures

    def loads(self) -> dict[str, Figures]:
        """Return the loads by their names in the table."""
        return {"alone": self.alone, "beside bulk": self.beside, "bulk": self.bulk}


def run(stage: Stage) -> Finding:
    """Alternate rounds of queries alone and queries beside the bulk client."""
    pace = stage.pace
    pairs: list[BulkPair] = []
    with stage.serve() as service, stage.caller() as caller:
        rate = max(beside.LEAST_RATE, stage.rate(caller, service, "bulk", beside.SHARE))
        big = LoadScenario(LONG, pace.seconds, pace.warm_s, texts=BULK_TEXTS, clients=1, dialect=MANY)
        for number in range(pace.rounds):
            queries = LoadScenario(SHORT_QUERIES, pace.seconds, pace.warm_s, rate=rate, seed=number)
            with progress.step(f"bulk: round {number + 1} of {pace.rounds}"):
                alone = caller.run(service, queries).loads[0]
                pairs.append(BulkPair(alone, *caller.run(service, queries, big).loads))
    last = pairs[-1].loads()
    title = f"{rate:,.0f} short queries a second, and requests of {BULK_TEXTS} texts of 100 tokens; last round"
    data = {"rate": rate, "rounds": [asdict(pair) | {"times": pair.times} for pair in pairs]}
    return Finding(judge(pairs), [answers(title, last)], data)


def judge(pairs: Sequence[BulkPair]) -> list[LoadVerdict]:
    """Judge the median of the rounds."""
    times = beside.times(pairs)
    said = f"{times:.1f} times ({beside.summary(pairs)})"
    return [
        LoadVerdict(f"short queries' p99 at most {MOST_TIMES:g} times that alone", said, times <= MOST_TIMES),
        all_answered(figures for pair in pairs for figures in pair.loads().values()),
    ]
