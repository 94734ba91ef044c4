"""Synthetic figures of a load."""

from bench.load.caller import Run
from bench.load.figures import Figures, Latency, Outcome


def latency(p99: float) -> Latency:
    return Latency(p99 / 4, p99 / 2, p99, 2 * p99)


def figures(
    texts_per_s: float = 100.0, p99: float = 0.1, *, refused: dict[str, Outcome] | None = None, **changes: int
) -> Figures:
    """Return figures of ten seconds in which every request succeeded, apart from `refused` and `changes`."""
    good = round(10 * texts_per_s)
    outcomes = {"200": Outcome(good, 0, latency(p99)), **(refused or {})}
    counts = {"planned": sum(outcome.count for outcome in outcomes.values()), "unsent": 0, "unanswered": 0, "broken": 0}
    return Figures(
        seconds=10.0,
        **counts | changes,
        outcomes=outcomes,
        texts_per_s=texts_per_s,
        tokens_per_s=40 * texts_per_s,
        answered_texts=good,
        late_p99=0.001,
    )


def run(*loads: Figures, service_cpu_s: float = 8.0) -> Run:
    return Run(list(loads), 10.0, 0.5, service_cpu_s, 2.0, 0)
