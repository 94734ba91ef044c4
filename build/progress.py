"""Report a build's progress: bars on a terminal, plain lines elsewhere, and each step's time and memory."""

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def say(line: str) -> None:
    """Print one line and flush."""
    print(line, flush=True)


def on_terminal() -> bool:
    """Return whether standard error is a terminal; bars are drawn only there."""
    return sys.stderr.isatty()


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Iterate over `items` with a progress bar on a terminal, or a line at each quarter elsewhere."""
    if on_terminal():
        yield from tqdm(items, desc=f"  {label}", leave=False)
        return
    marks = {len(items) * quarter // 4: quarter * 25 for quarter in (1, 2, 3)}
    for index, item in enumerate(items):
        if index in marks and index:
            say(f"  {label}: {marks[index]} % ({index} of {len(items)})")
        yield item


@contextmanager
def step(label: str) -> Iterator[None]:
    """Announce a step, then print its duration and peak memory."""
    say(f"{label} …")
    _reset_peak()
    start = time.monotonic()
    yield
    say(f"{label}: {time.monotonic() - start:.1f} s, peak memory {peak_bytes() / 1e9:.2f} GB")


def peak_bytes() -> int:
    """Return peak resident bytes since the last reset, or since process start where reset is not supported."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _reset_peak() -> None:
    # Linux: writing 5 resets VmHWM (proc(5)), so that each step reports its own peak.
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return
