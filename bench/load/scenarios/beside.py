"""Compare a load's p99 latency alone and beside another load, in interleaved rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.load.figures import Figures
from bench.load.verdict import milliseconds

# Share of the capacity on mixed texts: a low load, but with enough requests for a p99.
SHARE = 0.1
LEAST_RATE = 2.0


@dataclass(frozen=True)
class Pair:
    """One round of the load alone and one beside the other load."""

    alone: Figures
    beside: Figures

    @property
    def times(self) -> float:
        """The ratio of p99 latencies."""
        return self.beside.times_p99(self.alone)


def times(pairs: Sequence[Pair]) -> float:
    """Return the median ratio of the rounds."""
    return statistics.median(pair.times for pair in pairs)


def summary(pairs: Sequence[Pair]) -> str:
    """Format the median p99 latencies and the smallest number of requests in a round."""
    alone, beside = (
        statistics.median(figures.latency.p99 for figures in side)
        for side in ([pair.alone for pair in pairs], [pair.beside for pair in pairs])
    )
    fewest = min(figures.good for pair in pairs for figures in (pair.alone, pair.beside))
    return f"{milliseconds(alone)} alone, {milliseconds(beside)} beside; {fewest} requests in a round"
