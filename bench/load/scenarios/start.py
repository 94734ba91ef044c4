"""Startup time: from the command to the first successful response, with no response before the engine is warm."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.finding import Finding
from bench.load.stage import Stage
from bench.load.verdict import LoadVerdict
from bench.table import Table, number

# In addition to the time for loading the graph.
MOST_S = 3.0


@dataclass(frozen=True)
class Started:
    """One start: seconds to the first success, number of responses before it, seconds to load the graph alone."""

    ready_s: float
    early: int
    graph_s: float


def run(stage: Stage) -> Finding:
    """Alternate starting a server and loading the graph alone."""
    starts: list[Started] = []
    for round_ in range(stage.pace.rounds):
        with progress.step(f"start: round {round_ + 1} of {stage.pace.rounds}"):
            with stage.serve() as service:
                ready_s, early, streams = service.ready_s, service.early, service.info()["streams"]
            with stage.engine(streams) as (_, graph_s):
                starts.append(Started(ready_s, early, graph_s))
    rows = [[f"start {place + 1}", number(one.ready_s, 2), number(one.graph_s, 2)] for place, one in enumerate(starts)]
    table = Table("From the command to the first answer", ("", "s", "of them the graph alone, s"), rows)
    return Finding(judge(starts), [table], {"rounds": [asdict(one) for one in starts]})


def judge(rounds: Sequence[Started]) -> list[LoadVerdict]:
    """Judge the median startup time and the early responses."""
    ready = statistics.median(one.ready_s for one in rounds)
    graph = statistics.median(one.graph_s for one in rounds)
    early = sum(one.early for one in rounds)
    return [
        LoadVerdict(
            f"ready within {MOST_S:g} s and what the graph takes to open",
            f"{ready:.2f} s, the graph {graph:.2f} s; {len(rounds)} starts",
            ready <= MOST_S + graph,
        ),
        LoadVerdict("no connection is accepted before the first good answer", f"{early} were", not early),
    ]
