"""GPU calibration: times batches from the largest that fits into memory down to a single text."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.batching.cost_model import Load
from server.errors import GpuMemoryError, StartError
from server.inference.engine import Engine, Ids

logger = logging.getLogger(__name__)

# Texts of a quarter of the longest show the cost of attention; one short text shows the fixed cost of a run.
SHORTER = 4
SHORT_TOKENS = 8
# Repetitions; the first run of a shape also loads kernels and grows the arena.
RUNS = 2


@dataclass(frozen=True, slots=True)
class Timed:
    """A batch and its measured time."""

    load: Load
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Throughput."""
        return self.load.tokens / self.seconds


def largest_first(engine: Engine, text: Ids, most: int) -> list[Timed]:
    """Time batches of the longest text, starting from `most` tokens and halving each time.

    The largest runs first, so that later batches fit into the arena's existing chunks. A batch that does not fit into
    memory is logged and halved.

    Raises:
        StartError: the memory does not hold even one text.
    """
    longest = np.resize(text, engine.max_tokens)
    timed: list[Timed] = []
    texts = max(1, most // engine.max_tokens)
    while texts:
        try:
            timed.append(_time(engine, [longest] * texts))
        except GpuMemoryError as error:
            _log_halved(texts, engine.max_tokens, error)
        texts //= 2
    return timed


def shorter(engine: Engine, text: Ids, most: int) -> list[Timed]:
    """Time short texts, alone and in batches, to separate the cost of a run, of a token and of attention."""
    quarter = np.resize(text, max(1, engine.max_tokens // SHORTER))
    one = np.resize(text, min(SHORT_TOKENS, engine.max_tokens))
    return [_time(engine, [quarter] * max(1, most // len(quarter))), _time(engine, [quarter]), _time(engine, [one])]


def enough(timed: Sequence[Timed], share: float) -> int:
    """Return the tokens of the smallest batch that reaches this share of the best throughput."""
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


def _log_halved(texts: int, longest: int, error: GpuMemoryError) -> None:
    if texts == 1:
        raise StartError(
            f"the GPU's memory does not hold one text of {longest} tokens: see `nvidia-smi`, end what else runs there, "
            "raise GPU_MEMORY_MB, or set QUANTIZATION=fp16"
        ) from error
    logger.warning(
        "the GPU's memory does not hold a batch of %d tokens: halved to %d", texts * longest, texts // 2 * longest
    )
