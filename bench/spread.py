"""Summary statistics: median, minimum and maximum."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of some measurements."""

    median: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Spread":
        """Convert to another unit; `factor` is positive."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)

    def json(self) -> dict[str, float]:
        """Return the three numbers by name."""
        return asdict(self)


def spread(values: Sequence[float]) -> Spread:
    """Summarize measurements.

    Raises:
        ValueError: `values` is empty.
    """
    if not values:
        raise ValueError("nothing was measured")
    return Spread(statistics.median(values), min(values), max(values))


def seconds(turns: Sequence[Sequence[float]]) -> Spread:
    """Return the seconds per run. Each turn counts once, by its median: consecutive runs are not independent."""
    return spread([statistics.median(turn) for turn in turns])


def rate(turns: Sequence[Sequence[float]], amount: float) -> Spread:
    """Return units a second, where each run handles `amount` units."""
    return spread([amount / statistics.median(turn) for turn in turns])


def speedup(turns: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> float | None:
    """Return the speed-up over `base`: the median ratio over the rounds that both ran, which cancels drift."""
    pairs = zip(turns, base, strict=False)
    ratios = [statistics.median(other) / statistics.median(own) for own, other in pairs]
    return statistics.median(ratios) if ratios else None
