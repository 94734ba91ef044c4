"""Bootstrap intervals of losses (Efron, 1979), and when they are narrow enough to stop. Pure.

The number of queries grows in steps that are fixed beforehand. Looking several times raises the chance that one of the
intervals misses the truth, so each look's confidence is raised (Bonferroni): all looks together keep CONFIDENCE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from server.choose.quality import Numbers

CONFIDENCE = 0.95
RESAMPLES = 4000
SEED = 15
# An interval that still contains the budget is narrow enough at this share of it.
NARROW = 0.25
LOOKS = 5
FIRST_LOOK = 100


@dataclass(frozen=True, slots=True)
class Loss:
    """The share of quality lost, and the ends of its confidence interval; below 0 if quality is gained."""

    mean: float
    low: float
    high: float


def looks(queries: int) -> list[int]:
    """Return the numbers of queries after which the intervals are judged: doubling, LOOKS of them, the last all."""
    planned = [FIRST_LOOK << step for step in range(LOOKS)]
    return [*(count for count in planned[:-1] if count < queries), min(planned[-1], queries)]


def losses(own: Numbers, reference: Numbers, planned: int, step: float) -> list[Loss]:
    """Return the relative loss of each scheme: `own`, [schemes, queries], beside `reference`, [queries].

    The queries are resampled in pairs with the reference's. `planned` is the number of looks. Losses that few queries
    show are underestimated by resampling what was seen. So the worse end is that of the queries and one more that loses
    `step`, what a query may lose though no other did, and never less than `unseen`.
    """
    error = _error(planned)
    count = len(reference)
    weights, more = _resampled(count)
    lost = (reference - own).T
    whole = np.maximum(weights @ reference, np.finfo(np.float32).tiny)[:, None]
    drawn = weights @ lost
    low = np.quantile(drawn / whole, error, axis=0)
    high = np.quantile((drawn + step * more[:, None]) / whole, 1 - error, axis=0)
    means = lost.sum(0) / max(reference.sum(), np.finfo(np.float32).tiny)
    least = unseen(reference, planned, step)
    return [Loss(*map(float, ends)) for ends in zip(means, low, np.maximum(high, least), strict=True)]


def unseen(reference: Numbers, planned: int, step: float) -> float:
    """Return the relative loss that is possible though no query shows any.

    With n queries and an error of a it is `step` in a share of 1 - a^(1/n) of all queries, as exact bounds of a
    proportion are (Clopper, Pearson, 1934), relative to what the reference reaches.
    """
    share = 1 - _error(planned) ** (1 / len(reference))
    return float(step * share / max(reference.mean(), np.finfo(np.float32).tiny))


def _error(planned: int) -> float:
    """Return the chance that the truth is beyond one end of an interval, at each of the planned looks."""
    return (1 - CONFIDENCE) / planned / 2


@lru_cache(maxsize=1)
def _resampled(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how often each of `count` queries is drawn in each resample, and how often one more is."""
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return drawn.astype(np.float32), generator.poisson(1, RESAMPLES).astype(np.float32)


def clear(intervals: Sequence[Loss], budget: float) -> bool:
    """Return whether more queries would change little: each interval is off the budget, or narrow."""
    return all(
        loss.high <= budget or loss.low > budget or loss.high - loss.low <= NARROW * budget for loss in intervals
    )
