"""What a measurement shows while it lasts, on standard error: the tables on standard output stay clean."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLEAR = "\r\x1b[K"


def say(line: str) -> None:
    """Print one line at once."""
    print(f"{_CLEAR if sys.stderr.isatty() else ''}{line}", file=sys.stderr, flush=True)


def show(status: str) -> None:
    """Replace the status line of a terminal; nothing where there is none."""
    if sys.stderr.isatty():
        print(f"{_CLEAR}  {status}", end="", file=sys.stderr, flush=True)


@contextmanager
def step(label: str) -> Iterator[Callable[[str], None]]:
    """Announce a step on a terminal, yield what shows its status, and print the seconds it took."""
    started = time.monotonic()
    show(f"{label} …")
    yield show
    say(f"{label}: {time.monotonic() - started:.1f} s")
