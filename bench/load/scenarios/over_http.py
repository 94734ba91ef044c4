"""Overhead of HTTP: closed-loop clients with one text per request, against the bare engine on the same texts."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import progress
from bench.load.caller import Run
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.stage import BATCH, CLIENTS, MIXED, Stage
from bench.load.verdict import LoadVerdict, all_answered, percent
from bench.rounds import TIMEOUT_S
from bench.spread import spread
from bench.table import Table, number

# Targets for a large model, where inference dominates, and for a small one at about a millisecond per text.
LARGE_DIMENSION, LARGE_SHARE, SMALL_SHARE = 1024, 0.95, 0.80


@dataclass(frozen=True)
class EngineRound:
    """One round of the bare engine: texts, tokens, and seconds of wall and CPU time."""

    texts: int
    tokens: int
    seconds: float
    cpu_s: float

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


@dataclass(frozen=True)
class HttpPair:
    """A round of the engine and the server's round after it."""

    engine: EngineRound
    served: Run

    @property
    def http(self) -> Figures:
        """The clients' figures."""
        return self.served.loads[0]

    @property
    def share(self) -> float:
        """The server's tokens/s as a share of the engine's."""
        return self.http.tokens_per_s / self.engine.tokens_per_s


def run(stage: Stage) -> Finding:
    """Alternate rounds of engine and server."""
    pace = stage.pace
    load = LoadScenario(MIXED, pace.seconds, pace.warm_s, clients=CLIENTS)
    pairs: list[HttpPair] = []
    with stage.serve() as service, stage.engine(service.info()["streams"]) as (engine, _), stage.caller() as caller:
        for number_ in range(pace.rounds):
            with progress.step(f"http: round {number_ + 1} of {pace.rounds}"):
                alone = EngineRound(**engine.ask("run", TIMEOUT_S, seconds=pace.seconds, warm_s=pace.warm_s))
                engine.settle()
                pairs.append(HttpPair(alone, caller.run(service, load)))
    asked = LARGE_SHARE if stage.subject.manifest.dimension >= LARGE_DIMENSION else SMALL_SHARE
    last = pairs[-1].http
    title = f"{CLIENTS} clients, one text a request, last of {len(pairs)} rounds"
    tables = [_speeds(pairs), _split(pairs), answers(title, {"http": last})]
    return Finding(judge(pairs, asked), tables, _raw(pairs))


def judge(pairs: Sequence[HttpPair], asked: float) -> list[LoadVerdict]:
    """Judge the median share of the rounds."""
    share = statistics.median(pair.share for pair in pairs)
    return [
        LoadVerdict(f"at least {percent(asked, 0)} of the engine's tokens/s", percent(share), share >= asked),
        all_answered(pair.http for pair in pairs),
    ]


def cores(pairs: Sequence[HttpPair]) -> dict[str, tuple[float, float]]:
    """Return, for each process, the cores in use and the CPU microseconds per text answered."""

    def middle(cpu_s: Sequence[float], wall_s: Sequence[float], texts: Sequence[int]) -> tuple[float, float]:
        busy = statistics.median(used / wall for used, wall in zip(cpu_s, wall_s, strict=True))
        each = statistics.median(used / max(1, count) for used, count in zip(cpu_s, texts, strict=True))
        return busy, each * 1e6

    engines, runs = [pair.engine for pair in pairs], [pair.served for pair in pairs]
    walls, texts = [run.seconds for run in runs], [run.texts for run in runs]
    return {
        "engine alone": middle(
            [one.cpu_s for one in engines], [one.seconds for one in engines], [one.texts for one in engines]
        ),
        "server, whole": middle([run.service_cpu_s for run in runs], walls, texts),
        "server, its event loop": middle([run.loop_cpu_s for run in runs], walls, texts),
        "client": middle([run.client_cpu_s for run in runs], walls, texts),
    }


def _speeds(pairs: Sequence[HttpPair]) -> Table:
    rows = []
    for name, tokens, texts in (
        ("engine", [p.engine.tokens_per_s for p in pairs], [p.engine.texts / p.engine.seconds for p in pairs]),
        ("http", [p.http.tokens_per_s for p in pairs], [p.http.texts_per_s for p in pairs]),
    ):
        rates = spread(tokens)
        rows.append([name, *map(number, (rates.median, rates.low, rates.high, statistics.median(texts)))])
    header = ("", "tokens/s, median", "least", "greatest", "texts/s, median")
    return Table(
        f"The engine in batches of {BATCH} and the server over HTTP, {len(pairs)} rounds in turns", header, rows
    )


def _split(pairs: Sequence[HttpPair]) -> Table:
    rows = [[name, number(busy, 2), number(each)] for name, (busy, each) in cores(pairs).items()]
    return Table("CPU", ("process", "cores busy", "µs a text"), rows)


def _raw(pairs: Sequence[HttpPair]) -> dict[str, Any]:
    return {
        "rounds": [asdict(pair) | {"share": pair.share} for pair in pairs],
        "cores": {name: {"busy": busy, "us_per_text": each} for name, (busy, each) in cores(pairs).items()},
    }
