"""A load alone and beside another, in turns: how much longer its slowest hundredth takes there."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.load.figures import Figures
from bench.load.verdict import milliseconds

# Of what the server answers to mixed texts: far from busy, yet enough requests for a 99th percentile.
SHARE = 0.1
LEAST_RATE = 2.0


@dataclass(frozen=True)
class Pair:
    """A round of the load alone, and one beside the other."""

    alone: Figures
    beside: Figures

    @property
    def times(self) -> float:
        """How many times as long the slowest hundredth takes."""
        return self.beside.times_p99(self.alone)


def times(pairs: Sequence[Pair]) -> float:
    """The median of the rounds."""
    return statistics.median(pair.times for pair in pairs)


def said(pairs: Sequence[Pair]) -> str:
    """The times that were set against each other, and of how few requests the percentiles are."""
    alone, beside = (
        statistics.median(figures.latency.p99 for figures in side)
        for side in ([pair.alone for pair in pairs], [pair.beside for pair in pairs])
    )
    fewest = min(figures.good for pair in pairs for figures in (pair.alone, pair.beside))
    return f"{milliseconds(alone)} alone, {milliseconds(beside)} beside; {fewest} requests in a round"
