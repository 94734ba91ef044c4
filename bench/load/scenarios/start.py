"""From the command to the first answer: nothing is answered before the engine is warm, and that comes soon."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench import progress
from bench.load.finding import Finding
from bench.load.stage import Stage
from bench.load.verdict import Verdict
from bench.table import Table, number

# Beside what it takes to open the graph.
MOST_S = 3.0


@dataclass(frozen=True)
class Started:
    """One start: seconds to the first good answer, the answers before it, and the seconds the graph alone takes."""

    ready_s: float
    early: int
    graph_s: float


def run(stage: Stage) -> Finding:
    """Start a server, and open the graph alone, in turns."""
    found: list[Started] = []
    for round_ in range(stage.pace.rounds):
        with progress.step(f"start: round {round_ + 1} of {stage.pace.rounds}"):
            with stage.serve() as service:
                ready_s, early, streams = service.ready_s, service.early, service.info()["streams"]
            with stage.engine(streams) as (_, graph_s):
                found.append(Started(ready_s, early, graph_s))
    rows = [[f"start {place + 1}", number(one.ready_s, 2), number(one.graph_s, 2)] for place, one in enumerate(found)]
    table = Table("From the command to the first answer", ("", "s", "of them the graph alone, s"), rows)
    return Finding(judge(found), [table], {"rounds": [asdict(one) for one in found]})


def judge(found: Sequence[Started]) -> list[Verdict]:
    """Decide by the median of the starts, and on every answer."""
    ready = statistics.median(one.ready_s for one in found)
    graph = statistics.median(one.graph_s for one in found)
    early = sum(one.early for one in found)
    return [
        Verdict(
            f"ready within {MOST_S:g} s and what the graph takes to open",
            f"{ready:.2f} s, the graph {graph:.2f} s; {len(found)} starts",
            ready <= MOST_S + graph,
        ),
        Verdict("no connection is accepted before the first good answer", f"{early} were", not early),
    ]
