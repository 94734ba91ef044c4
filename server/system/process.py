"""The server process: standard streams, garbage collection, limit of open files, thread priority, signals and exit."""

import contextlib
import gc
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

from server.errors import INFERENCE_DIED
from server.secret import scrub
from server.system import log_writer

logger = logging.getLogger(__name__)

# Open files besides connections: model files, the event loop, threads, and connections being refused.
OWN_FILES = 64
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How long a process that must end may wait for its last log line.
LAST_LOG_S = 2.0
T = TypeVar("T")
STANDARD_STREAMS = 3
# Added to a thread's niceness: competing with the event loop for a core, the thread then gets about a quarter of it.
NICENESS = 5
# Thresholds of the three generations of the garbage collector. With 200,000 new containers, uncollected cycles take a
# few tens of MB at most.
COLLECTION = 200_000, 10, 10


def hold_standard_streams() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise the next file or socket opened would get that descriptor, and receive whatever is printed.
    """
    for number in range(STANDARD_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def write_error(text: str) -> None:
    """Write to standard error, after pending log lines and with known secrets masked; give up after LAST_LOG_S."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    with contextlib.suppress(OSError, ValueError):
        log_writer.write(sys.stderr, scrub(text), LAST_LOG_S)


def drop_unwritten() -> None:
    """Discard output that cannot be written, as on a full disk; Python would exit with another status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard limit; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        hard = soft
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def fit_connections(wanted: int, files: int) -> int:
    """Return how many connections fit into `files` open files: at most `wanted`, at least 1."""
    room = max(1, files - OWN_FILES)
    if room < wanted:
        logger.warning("MAX_CONNECTIONS=%d is lowered to %d: the process may open %d files", wanted, room, files)
    return min(wanted, room)


def freeze_heap() -> None:
    """Exclude all existing objects from garbage collection, and make collections rare.

    Reference counting frees a finished request, but the objects of waiting requests count as new: with a thousand in
    the queue and Python's default thresholds, they were traversed many times a second, which took a third of a core and
    stopped the event loop for tenths of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION)


def lower_priority() -> None:
    """Lower the priority of the calling thread, and of threads that it starts, below the event loop's (Linux).

    Otherwise, on a machine whose cores are all busy, a response would wait milliseconds for a core.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


def die(reason: str) -> NoReturn:
    """End the process at once with status INFERENCE_DIED, even if threads hang or the log is not read."""
    with contextlib.suppress(RuntimeError):  # No thread can be started: exit without this time limit.
        _in_background(LAST_LOG_S, os._exit, INFERENCE_DIED)
    logger.critical("the process ends: %s", reason)
    logging.shutdown()
    os._exit(INFERENCE_DIED)


def die_after(seconds: float, reason: str) -> None:
    """End the process like `die` if it still runs after `seconds`."""
    _in_background(seconds, die, reason)


def on_signals(handle: Callable[[int, FrameType | None], object]) -> None:
    """Call `handle` for every signal that asks the process to stop.

    SIGHUP, which a closing terminal sends, stays ignored if it was ignored at start, as by nohup.
    """
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN or number is not signal.SIGHUP:
            signal.signal(number, handle)


def exit_on_signals() -> None:
    """Make these signals end the process at once, with the exit status that shells use for a signal (128 + number)."""
    on_signals(_exit_at_once)


def _in_background(seconds: float, do: Callable[[T], object], argument: T) -> None:
    timer = threading.Timer(seconds, do, [argument])
    timer.daemon = True
    timer.start()


def _exit_at_once(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
