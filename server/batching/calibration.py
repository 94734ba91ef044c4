"""The first runs of an engine: they bring memory to its peak and measure what a batch costs here."""

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

# The largest budget that auto chooses: beyond it a batch would make everyone wait, and memory grow, for nothing.
MOST_TOKENS: dict[DeviceName, int] = {"cpu": 4096, "cuda": 65536}
# Work that may wait by default. Longer than that, callers are better served by a refusal than by a place in the queue.
QUEUE_S = 10.0
LEAST_QUEUE_BATCHES = 8
# Full batches reach this share of the best throughput, slices of large requests that one: a tenth of the speed is
# worth what small requests then wait less.
FULL_SPEED = 0.97
SLICED_SPEED = 0.9
LEAST_SLICE_TOKENS = 64
SHORT = 8
# Threads that share a batch wait for the slowest of them at every operator, which costs a small model a quarter of its
# speed and more where the event loop interrupts them. So each computes batches of its own where the longest text then
# takes no longer than this; a large model needs them all for one text.
STREAM_S = 0.25
# The longest text is timed again where that costs the start no more than this.
QUICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Warm:
    """A warm engine: its pace, and the vector of `ids` that it must give again as long as it is well."""

    pace: Pace
    ids: Ids
    vector: Vectors


def check_batch(settings: Settings, max_tokens: int) -> None:
    """Check MAX_BATCH_TOKENS before anything slow is done.

    Raises:
        StartError: a batch could not hold the model's longest text.
    """
    batch = settings.max_batch_tokens
    if batch is not None and batch < max_tokens:
        raise StartError(f"MAX_BATCH_TOKENS={batch}: must be at least {max_tokens}, the model's longest text, or auto")


def check_streams(settings: Settings, threads: int, device: DeviceName) -> None:
    """Check STREAMS before anything slow is done.

    Raises:
        StartError: they are no divisor of the threads, or more than the one that a GPU has.
    """
    streams = settings.streams or 1
    if streams > 1 and device == "cuda":
        raise StartError(f"STREAMS={streams}: must be 1 or auto on a GPU, which computes one batch at a time")
    if threads % streams:
        raise StartError(
            f"STREAMS={streams}: {threads} inference threads (THREADS) cannot be shared out evenly among so many; "
            "set a divisor of it, or auto"
        )


def warm_gpu(engine: Engine, text: Ids, settings: Settings, *, packed: bool) -> Warm:
    """Measure `engine` on a GPU from the largest batch down; `text` is a short one.

    Raises:
        StartError: the GPU's memory does not hold the longest text.
    """
    return Warm(measure_gpu(engine, text, settings, packed=packed), text, engine.embed([text])[0])


def warm(engine: Engine, text: Ids, settings: Settings, cost: CostModel, streams: int) -> Warm:
    """Run the largest batch there will be, made of the longest texts, in all streams at once; `text` is a short one."""
    pace = plan_pace(cost, settings, engine.max_tokens, streams)
    if streams > 1 or pace.batch_tokens >= 2 * engine.max_tokens:
        texts, rest = divmod(pace.batch_tokens, engine.max_tokens)
        largest = [np.resize(text, engine.max_tokens)] * texts
        largest += [np.resize(text, rest)] if rest and cost.packed else []
        with ThreadPoolExecutor(streams, "warming") as pool:
            list(pool.map(engine.embed, [largest] * streams))
    return Warm(pace, text, engine.embed([text])[0])


def worth_streams(cost: CostModel, max_tokens: int, threads: int) -> bool:
    """Tell whether each of `threads` should compute batches of its own, from what they cost with all on one."""
    return threads > 1 and threads * cost.seconds(Load().plus(max_tokens)) <= STREAM_S


def measure(engine: Engine, text: Ids, *, packed: bool, streams: int = 1) -> CostModel:
    """Time runs of one text of three lengths, in all streams at once, and fit their cost.

    The longest goes first, while memory is still to be had, and again only where it is quick: at the size of BGE-large
    on two cores it takes half a second. What a first run adds to its time is there taken for attention's, on which
    nothing hangs but when to prepare the next batch.
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
    """Time a GPU's batches from the largest down, fit their cost, and take the smallest that is fast enough.

    One text does not fill a GPU, so nothing can be told from its time but what a run costs.
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
    """Resolve what follows from the batch: slices and MAX_QUEUE_TOKENS."""
    part = min(batch, max(LEAST_SLICE_TOKENS, cost.tokens_for(SLICED_SPEED)))
    queue = streams * max(LEAST_QUEUE_BATCHES * batch, round(QUEUE_S * cost.tokens_per_s(batch)))
    return Pace(cost, batch, part, settings.max_queue_tokens or queue, streams)


def _seconds(engine: Engine, pool: Executor, streams: int, ids: Ids) -> float:
    """Time one text in each stream."""
    started = time.perf_counter()
    list(pool.map(engine.embed, [[ids]] * streams))
    return time.perf_counter() - started
