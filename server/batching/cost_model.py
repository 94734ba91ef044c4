"""What a batch costs on this machine, as a function of its texts' lengths. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Load:
    """Texts that run together, by what their cost depends on; lengths in tokens."""

    texts: int = 0
    tokens: int = 0
    squares: int = 0
    longest: int = 0

    def plus(self, length: int) -> "Load":
        """Return this load with one more text."""
        return Load(self.texts + 1, self.tokens + length, self.squares + length * length, max(self.longest, length))


@dataclass(frozen=True, slots=True)
class CostModel:
    """Seconds of a run: a fixed part, one for each token (linear layers), one for each token pair (attention).

    A `packed` graph computes real tokens only; another one computes every text as long as the longest.
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
        """Tell whether a text of `length` tokens costs less in the run of `load` than in one of its own."""
        return self.seconds(load.plus(length)) <= self.seconds(load) + self.seconds(Load().plus(length))

    def tokens_per_s(self, batch_tokens: int) -> float:
        """Estimate the speed of full batches, attention left out."""
        return batch_tokens / max(self.run_s + batch_tokens * self.token_s, 1e-9)

    def tokens_for(self, share: float) -> int:
        """Return the smallest batch, in tokens, that reaches this share of the best throughput.

        A batch of n tokens runs at n / (run_s + n * token_s) tokens a second, the best is 1 / token_s.
        """
        return round(self.run_s / self.token_s * share / (1 - share)) if self.token_s else 0


@dataclass(frozen=True, slots=True)
class Pace:
    """What a batch costs, how many tokens it may compute, how many may be queued, and how many batches run at once.

    `slice_tokens` is what is computed at once of large requests while small ones are about.
    """

    cost: CostModel
    batch_tokens: int
    slice_tokens: int
    queue_tokens: int
    streams: int = 1

    def work_s(self, length: int) -> float:
        """Estimate what a text of `length` tokens adds to the time of one stream, in slices; in seconds."""
        cost = self.cost
        return (cost.run_s / max(1, self.slice_tokens) + cost.token_s) * length + cost.pair_s * length**2

    @property
    def tokens_per_s(self) -> float:
        """The speed of full batches of short texts, of all streams together."""
        return self.streams * self.cost.tokens_per_s(self.batch_tokens)


def fit(loads: Sequence[Load], seconds: Sequence[float], *, packed: bool) -> CostModel:
    """Fit the model to the times of runs, by least squares of relative errors over what is not negative."""
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
    """The tokens and the token pairs that a run computes."""
    if packed:
        return load.tokens, load.squares
    return load.texts * load.longest, load.texts * load.longest**2
