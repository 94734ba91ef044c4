"""Chooses how many batches run side by side (STREAMS=auto) from measurements of a few numbers of streams. Pure.

More streams answer more texts a second, because fewer threads wait for each other at every operator; each text takes
longer. So: the best throughput whose longest text stays within a bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# Throughputs that differ by less are equal: then the most streams, which lose least when other programs use a core.
CLOSE = 0.97
# Numbers of streams that differ by less need no measurement between them.
FINE = 1.04
# After this much lower throughput than the best, still more streams are not tried.
FALLING = 0.9


@dataclass(frozen=True, slots=True)
class StreamTrial:
    """A measured number of streams: seconds of the longest text, and tokens/s of all streams, while all are busy."""

    streams: int
    longest_s: float
    tokens_per_s: float


def pool_threads(threads: int, streams: int) -> int:
    """Return the size of the pool that `streams` callers share, so that all of them together use `threads` threads.

    ONNX Runtime counts a caller as one thread of its pool, and creates the others.
    """
    return threads - streams + 1


def next_streams(trials: Sequence[StreamTrial], threads: int, longest_s: float) -> int | None:
    """Return the number of streams to measure next, or None once the best is known well enough.

    Doubles the streams until the longest text takes more than `longest_s`, then halves the interval. Takes for granted
    that the longest text takes longer with more streams.
    """
    if not trials:
        return 1
    speeds = {trial.streams: trial.tokens_per_s for trial in trials if trial.longest_s <= longest_s}
    low = max(speeds, default=0)
    if not low or low >= threads or speeds[low] < FALLING * max(speeds.values()):
        return None
    high = min((trial.streams for trial in trials if trial.streams > low), default=None)
    if high is None:
        return min(2 * low, threads)
    middle = (low + high) // 2
    return middle if middle > low and high > FINE * low else None


def best_trial(trials: Sequence[StreamTrial], longest_s: float) -> StreamTrial:
    """Return the trial to use: of those within the bound the one with the best throughput; if none is, the first."""
    allowed = [trial for trial in trials if trial.longest_s <= longest_s] or trials[:1]
    most = max(trial.tokens_per_s for trial in allowed)
    return max((trial for trial in allowed if trial.tokens_per_s >= CLOSE * most), key=lambda trial: trial.streams)
