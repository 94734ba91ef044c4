"""The process around the server: its standard streams, its heap, how many files it may open, and how it ends."""

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

# What the process opens besides connections: model files, event loop, threads, and connections that are being refused.
OWN_FILES = 64
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# What the last line of a process that has to end may take.
LAST_WORDS_S = 2.0
T = TypeVar("T")
STANDARD_STREAMS = 3
# Added to a thread's niceness: where both want a core it gets a quarter of it, the event loop the rest.
NICENESS = 5
# Containers that may be new before they are gone through: circles of them take a few tens of MB at most by then; and
# how often that is done before older ones are, and those before all.
COLLECTION = 200_000, 10, 10


def hold_standard_streams() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise the next file or socket gets its number, and whatever is printed goes there.
    """
    for number in range(STANDARD_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def complain(text: str) -> None:
    """Write to standard error after the log's lines, if that is read, without any secret that is known."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    with contextlib.suppress(OSError, ValueError):
        log_writer.write(sys.stderr, scrub(text), LAST_WORDS_S)


def drop_unwritten() -> None:
    """Give up what a standard stream cannot take, as on a full disk; Python would exit with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def raise_file_limit() -> int:
    """Allow this process as many open files as it may allow itself; return that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        hard = soft
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def fit_connections(wanted: int, files: int) -> int:
    """Return how many connections `files` open files have room for, `wanted` at most and 1 at least."""
    room = max(1, files - OWN_FILES)
    if room < wanted:
        logger.warning("MAX_CONNECTIONS=%d is lowered to %d: the process may open %d files", wanted, room, files)
    return min(wanted, room)


def settle_heap() -> None:
    """Leave all that exists now out of garbage collection, and have the rest collected seldom.

    A request frees what it took without the collector, but while it waits it counts as new: with a thousand in the
    queue Python's own thresholds have all of them gone through many times a second, which took a third of a core and
    stopped the event loop for tenths of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION)


def step_back() -> None:
    """Let the calling thread, and those that it starts, compute what the event loop leaves to them (Linux).

    On a machine whose every core computes, an answer or a refusal would otherwise wait for a core for milliseconds.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


def die(reason: str) -> NoReturn:
    """End the process at once with a status that is not 0, whatever its threads do, whether or not its log is read."""
    with contextlib.suppress(RuntimeError):  # No thread can be started: then the log is trusted.
        _in_background(LAST_WORDS_S, os._exit, INFERENCE_DIED)
    logger.critical("the process ends: %s", reason)
    logging.shutdown()
    os._exit(INFERENCE_DIED)


def die_after(seconds: float, reason: str) -> None:
    """End the process like `die` if it is still there after `seconds`."""
    _in_background(seconds, die, reason)


def on_signals(handle: Callable[[int, FrameType | None], object]) -> None:
    """Call `handle` for every signal that asks the process to stop.

    A terminal that is closed sends SIGHUP; who started the process so that it outlives its terminal (nohup) ignores it.
    """
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN or number is not signal.SIGHUP:
            signal.signal(number, handle)


def insist_on_signals() -> None:
    """From now on these signals end the process at once, with the status that shells give to a signal."""
    on_signals(_exit_at_once)


def _in_background(seconds: float, do: Callable[[T], object], argument: T) -> None:
    timer = threading.Timer(seconds, do, [argument])
    timer.daemon = True
    timer.start()


def _exit_at_once(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
