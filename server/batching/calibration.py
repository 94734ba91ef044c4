"""Calibration at startup: warms the engine up to its peak memory, measures the cost of batches, and sizes them."""

import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from server.batching import gpu_calibration
from server.batching.cost_model import CostModel, Load, Pace, fit
from server.errors import StartError
from server.inference.device import DeviceName
from server.inference.engine import Engine, Ids, Vectors
from server.settings import Settings

# Upper bound for MAX_BATCH_TOKENS=auto: larger batches add latency and memory but no throughput.
MOST_TOKENS: dict[DeviceName, int] = {"cpu": 4096, "cuda": 65536}
# Default queue length in seconds of work; a caller that would wait longer is better served by a refusal.
QUEUE_S = 5.0
LEAST_QUEUE_BATCHES = 8
# Share of the best throughput reached by full batches, and by slices of large requests, which trade a tenth of the
# speed for less waiting of small requests.
FULL_SPEED = 0.97
SLICED_SPEED = 0.9
LEAST_SLICE_TOKENS = 64
SHORT = 8
# The longest text is timed a second time only if that delays startup by no more than this. Above the default of
# LONGEST_TEXT_S: the first run, with new memory, is slower, and may not decide.
QUICK_S = 0.4


@dataclass(frozen=True, slots=True)
class Warmed:
    """The results of warming an engine: its pace, and the vector of `ids`, which a healthy engine reproduces."""

    pace: Pace
    ids: Ids
    vector: Vectors


def check_batch(settings: Settings, max_tokens: int) -> None:
    """Check MAX_BATCH_TOKENS before the slow steps of startup.

    Raises:
        StartError: a batch could not hold the model's longest text.
    """
    batch = settings.max_batch_tokens
    if batch is not None and batch < max_tokens:
        raise StartError(f"MAX_BATCH_TOKENS={batch}: must be at least {max_tokens}, the model's longest text, or auto")


def check_streams(settings: Settings, threads: int, device: DeviceName) -> None:
    """Check STREAMS before the slow steps of startup.

    Raises:
        StartError: it exceeds the number of threads, or 1 on a GPU.
    """
    streams = settings.streams or 1
    if streams > 1 and device == "cuda":
        raise StartError(f"STREAMS={streams}: must be 1 or auto on a GPU, which computes one batch at a time")
    if streams > threads:
        raise StartError(
            f"STREAMS={streams}: {threads} inference threads (THREADS) cannot run so many; set at most {threads}, or "
            "auto"
        )


def warm_gpu(engine: Engine, text: Ids, settings: Settings, *, packed: bool) -> Warmed:
    """Measure `engine` on a GPU from the largest batch down; `text` is a short one.

    Raises:
        StartError: the longest text does not fit into the GPU's memory.
    """
    return Warmed(measure_gpu(engine, text, settings, packed=packed), text, engine.embed([text])[0])


def warm(engine: Engine, text: Ids, settings: Settings, cost: CostModel, streams: int) -> Warmed:
    """Run the largest possible batch, of the longest texts, in all streams at once; `text` is a short one."""
    pace = plan_pace(cost, settings, engine.max_tokens, streams)
    if streams > 1 or pace.batch_tokens >= 2 * engine.max_tokens:
        texts, rest = divmod(pace.batch_tokens, engine.max_tokens)
        largest = [np.resize(text, engine.max_tokens)] * texts
        largest += [np.resize(text, rest)] if rest and cost.packed else []
        with ThreadPoolExecutor(streams, "warming") as pool:
            list(pool.map(engine.embed, [largest] * streams))
    return Warmed(pace, text, engine.embed([text])[0])


def measure(engine: Engine, text: Ids, *, packed: bool, streams: int = 1) -> CostModel:
    """Time single texts of three lengths, in all streams at once, and fit a cost model.

    The longest is timed first, to reach peak memory early, and repeated only if it is quick: BGE-large takes half a
    second on two cores. Without the repetition, first-run overhead is attributed to attention, which only affects when
    the next batch is prepared.
    """
    long, middle, short = engine.max_tokens, max(1, engine.max_tokens // 8), min(SHORT, engine.max_tokens)
    with ThreadPoolExecutor(streams, "measuring") as pool:
        seconds = partial(_seconds, engine, pool, streams)
        times = {long: seconds(np.resize(text, long))}
        if times[long] <= QUICK_S:
            times[long] = min(times[long], seconds(np.resize(text, long)))
        for length in (middle, short):
            times[length] = min(seconds(np.resize(text, length)) for _ in range(2))
    return fit([Load().plus(length) for length in times], list(times.values()), packed=packed)


def measure_gpu(engine: Engine, text: Ids, settings: Settings, *, packed: bool) -> Pace:
    """Time batches on a GPU from the largest down, fit a cost model, and choose the smallest that is fast enough.

    A single text does not saturate a GPU, so its time shows only the fixed cost of a run.
    """
    timed = gpu_calibration.largest_first(engine, text, settings.max_batch_tokens or MOST_TOKENS["cuda"])
    most = timed[0].load.tokens
    batch = most if settings.max_batch_tokens else gpu_calibration.enough(timed, FULL_SPEED)
    runs = [*timed, *gpu_calibration.shorter(engine, text, most)]
    cost = fit([run.load for run in runs], [run.seconds for run in runs], packed=packed)
    return pace_of(cost, settings, batch)


def plan_pace(cost: CostModel, settings: Settings, max_tokens: int, streams: int = 1) -> Pace:
    """Resolve MAX_BATCH_TOKENS and MAX_QUEUE_TOKENS on a CPU, for a model that reads `max_tokens`."""
    enough = min(cost.tokens_for(FULL_SPEED), MOST_TOKENS["cpu"])
    return pace_of(cost, settings, settings.max_batch_tokens or max(enough, max_tokens), streams)


def pace_of(cost: CostModel, settings: Settings, batch: int, streams: int = 1) -> Pace:
    """Derive the slice size and MAX_QUEUE_TOKENS from the batch size."""
    part = min(batch, max(LEAST_SLICE_TOKENS, cost.tokens_for(SLICED_SPEED)))
    queue = streams * max(LEAST_QUEUE_BATCHES * batch, round(QUEUE_S * cost.tokens_per_s(batch)))
    return Pace(cost, batch, part, settings.max_queue_tokens or queue, streams)


def _seconds(engine: Engine, pool: Executor, streams: int, ids: Ids) -> float:
    """Time one text running in every stream at once."""
    started = time.perf_counter()
    list(pool.map(engine.embed, [[ids]] * streams))
    return time.perf_counter() - started
