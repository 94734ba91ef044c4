"""Progress messages on standard error; standard output is for the tables."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLEAR = "\r\x1b[K"


def say(line: str) -> None:
    """Print one line and flush."""
    print(f"{_CLEAR if sys.stderr.isatty() else ''}{line}", file=sys.stderr, flush=True)


def show(status: str) -> None:
    """Replace the terminal's status line; do nothing without a terminal."""
    if sys.stderr.isatty():
        print(f"{_CLEAR}  {status}", end="", file=sys.stderr, flush=True)


@contextmanager
def step(label: str) -> Iterator[Callable[[str], None]]:
    """Announce a step, yield the function that shows its status, and print its duration."""
    started = time.monotonic()
    show(f"{label} …")
    yield show
    say(f"{label}: {time.monotonic() - started:.1f} s")
