"""Cost model: the time of a batch on this machine as a function of its texts' lengths. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Load:
    """The statistics of a batch's texts that determine its cost; lengths in tokens."""

    texts: int = 0
    tokens: int = 0
    squares: int = 0
    longest: int = 0

    def plus(self, length: int) -> "Load":
        """Return this load with one more text."""
        return Load(self.texts + 1, self.tokens + length, self.squares + length * length, max(self.longest, length))


@dataclass(frozen=True, slots=True)
class CostModel:
    """Seconds of a run: a fixed part, a part per token (linear layers) and a part per token pair (attention).

    A `packed` graph computes real tokens only; any other graph pads every text to the longest.
    """

    run_s: float
    token_s: float
    pair_s: float
    packed: bool

    def seconds(self, load: Load) -> float:
        """Estimate the time of one run."""
        if not load.texts:
            return 0.0
        tokens, pairs = _work(load, packed=self.packed)
        return self.run_s + self.token_s * tokens + self.pair_s * pairs

    def computed(self, load: Load) -> int:
        """Count the tokens that a run computes, padding included."""
        return _work(load, packed=self.packed)[0]

    def cheaper_together(self, load: Load, length: int) -> bool:
        """Return whether a text of `length` tokens costs no more in the run of `load` than in a run of its own."""
        return self.seconds(load.plus(length)) <= self.seconds(load) + self.seconds(Load().plus(length))

    def tokens_per_s(self, batch_tokens: int) -> float:
        """Estimate the throughput of batches of this size, without attention."""
        return batch_tokens / max(self.run_s + batch_tokens * self.token_s, 1e-9)

    def tokens_for(self, share: float) -> int:
        """Return the smallest batch, in tokens, that reaches this share of the best throughput.

        A batch of n tokens runs at n / (run_s + n * token_s) tokens per second; the limit is 1 / token_s.
        """
        return round(self.run_s / self.token_s * share / (1 - share)) if self.token_s else 0


@dataclass(frozen=True, slots=True)
class Pace:
    """The cost model, the maximum tokens of a batch and of the queue, and the number of batches that run at once.

    Large requests are computed in slices of `slice_tokens` while small ones arrive.
    """

    cost: CostModel
    batch_tokens: int
    slice_tokens: int
    queue_tokens: int
    streams: int = 1

    def work_s(self, length: int) -> float:
        """Estimate the seconds that a text of `length` tokens adds to one stream when computed in slices."""
        cost = self.cost
        return (cost.run_s / max(1, self.slice_tokens) + cost.token_s) * length + cost.pair_s * length**2

    @property
    def tokens_per_s(self) -> float:
        """Throughput of all streams together with full batches of short texts."""
        return self.streams * self.cost.tokens_per_s(self.batch_tokens)


def fit(loads: Sequence[Load], seconds: Sequence[float], *, packed: bool) -> CostModel:
    """Fit a model to timed runs by least squares of the relative errors, with non-negative coefficients."""
    columns = np.array([[1.0, *_work(load, packed=packed)] for load in loads]) / np.array(seconds)[:, None]
    parts = np.zeros(3)
    kept = [0, 1, 2]
    while kept:
        solved = np.linalg.lstsq(columns[:, kept], np.ones(len(loads)), rcond=None)[0]
        if (solved >= 0).all():
            parts[kept] = solved
            break
        kept.pop(int(solved.argmin()))
    run_s, token_s, pair_s = map(float, parts)
    return CostModel(run_s, token_s, pair_s, packed)


def _work(load: Load, *, packed: bool) -> tuple[int, int]:
    """Return the tokens and the token pairs that a run computes."""
    if packed:
        return load.tokens, load.squares
    return load.texts * load.longest, load.texts * load.longest**2
