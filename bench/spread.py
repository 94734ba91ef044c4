"""A measured figure with its spread."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, the least and the greatest of them."""

    median: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Spread":
        """The same figure in another unit; `factor` is positive."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)

    def json(self) -> dict[str, float]:
        """The three numbers by name."""
        return asdict(self)


def spread(values: Sequence[float]) -> Spread:
    """Summarize at least one measurement.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("nothing was measured")
    return Spread(statistics.median(values), min(values), max(values))


def seconds(turns: Sequence[Sequence[float]]) -> Spread:
    """Seconds a run takes. A turn counts once, by its median: its runs follow each other and share the weather."""
    return spread([statistics.median(turn) for turn in turns])


def rate(turns: Sequence[Sequence[float]], amount: float) -> Spread:
    """Units a second, where each run handles `amount` of them."""
    return spread([amount / statistics.median(turn) for turn in turns])


def speedup(turns: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> float | None:
    """How many times as fast as `base`: the median over the rounds that both ran, so that drift cancels."""
    pairs = zip(turns, base, strict=False)
    ratios = [statistics.median(other) / statistics.median(own) for own, other in pairs]
    return statistics.median(ratios) if ratios else None
