"""How fast a GPU is at every size of batch, from the largest that its memory holds down to one text."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.batching.cost_model import Load
from server.errors import GpuMemoryError, StartError
from server.inference.engine import Engine, Ids

logger = logging.getLogger(__name__)

# Lengths, in shares of the longest text, that show what attention costs; and the one text that shows what a run costs.
SHORTER = 4
SHORT_TOKENS = 8
# The first run of a shape also loads kernels and grows the arena.
RUNS = 2


@dataclass(frozen=True, slots=True)
class Timed:
    """A batch and the seconds that it took."""

    load: Load
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Its speed."""
        return self.load.tokens / self.seconds


def largest_first(engine: Engine, text: Ids, most: int) -> list[Timed]:
    """Time batches of the longest text, `most` tokens and less, each half as large as the one before.

    Memory is at its peak first, so that the arena's pieces fit all that comes later. Where it does not suffice the
    batch is halved, which the log says.

    Raises:
        StartError: it does not suffice for one text.
    """
    longest = np.resize(text, engine.max_tokens)
    timed: list[Timed] = []
    texts = max(1, most // engine.max_tokens)
    while texts:
        try:
            timed.append(_time(engine, [longest] * texts))
        except GpuMemoryError as error:
            _say_halved(texts, engine.max_tokens, error)
        texts //= 2
    return timed


def shorter(engine: Engine, text: Ids, most: int) -> list[Timed]:
    """Time what tells the cost of a run, of a token and of attention apart: short texts, alone and many."""
    quarter = np.resize(text, max(1, engine.max_tokens // SHORTER))
    one = np.resize(text, min(SHORT_TOKENS, engine.max_tokens))
    return [_time(engine, [quarter] * max(1, most // len(quarter))), _time(engine, [quarter]), _time(engine, [one])]


def enough(timed: Sequence[Timed], share: float) -> int:
    """The tokens of the smallest batch that has this share of the best speed."""
    best = max(run.tokens_per_s for run in timed)
    return min(run.load.tokens for run in timed if run.tokens_per_s >= share * best)


def _time(engine: Engine, batch: Sequence[Ids]) -> Timed:
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        engine.embed(batch)
        seconds.append(time.perf_counter() - started)
    load = Load()
    for text in batch:
        load = load.plus(len(text))
    return Timed(load, min(seconds))


def _say_halved(texts: int, longest: int, error: GpuMemoryError) -> None:
    if texts == 1:
        raise StartError(
            f"the GPU's memory does not hold one text of {longest} tokens: see `nvidia-smi`, end what else runs there, "
            "raise GPU_MEMORY_MB, or set QUANTIZATION=fp16"
        ) from error
    logger.warning(
        "the GPU's memory does not hold a batch of %d tokens: halved to %d", texts * longest, texts // 2 * longest
    )
