"""Resource usage of a process: CPU, memory, open files."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

MOST_SAMPLES = 2000
_LEAST_INTERVAL_S = 0.2


@dataclass(frozen=True)
class ProcessUsage:
    """CPU seconds of all threads and of the main thread, which runs the event loop; resident bytes; open files."""

    cpu_s: float
    loop_cpu_s: float
    resident: int
    files: int


@dataclass
class Track:
    """Samples of a process's resident bytes and open files."""

    resident: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


def measure(pid: int) -> ProcessUsage:
    """Return a process's resource usage.

    Raises:
        psutil.Error: the process has exited.
    """
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        loop = next((thread for thread in process.threads() if thread.id == pid), None)
        loop_cpu_s = loop.user_time + loop.system_time if loop else 0.0
        return ProcessUsage(times.user + times.system, loop_cpu_s, process.memory_info().rss, process.num_fds())


@contextmanager
def watch(pid: int, delay_s: float, seconds: float) -> Iterator[Track]:
    """Sample a process during the block, after `delay_s`; `seconds`, the expected duration, sets the interval."""
    track, stop = Track(), threading.Event()
    interval = max(_LEAST_INTERVAL_S, seconds / MOST_SAMPLES)
    sampler = threading.Thread(target=_sample, args=(pid, track, stop, delay_s, interval), daemon=True)
    sampler.start()
    try:
        yield track
    finally:
        stop.set()
        sampler.join()


def growth(samples: Sequence[float]) -> float:
    """Return the relative growth of the median from the first third to the last; 0 for fewer than three samples."""
    third = len(samples) // 3
    if not third:
        return 0.0
    return statistics.median(samples[-third:]) / statistics.median(samples[:third]) - 1.0


def _sample(pid: int, track: Track, stop: threading.Event, delay_s: float, interval_s: float) -> None:
    due = time.monotonic() + delay_s
    while not stop.wait(max(0.0, due - time.monotonic())) and len(track.resident) < MOST_SAMPLES:
        try:
            current = measure(pid)
        except psutil.Error:
            return
        track.resident.append(current.resident)
        track.files.append(current.files)
        due += interval_s
