"""Asynchronous logging: a bounded queue and a thread that writes the lines, so that logging never blocks."""

import logging
import os
import queue
import select
import threading
from logging.handlers import QueueHandler, QueueListener
from typing import TextIO

# A line is a few hundred bytes, one with a traceback a few thousand.
MAX_QUEUED = 2_000
# How long the process waits at exit for queued lines to be written.
FLUSH_S = 1.0

logger = logging.getLogger(__name__)


class LogQueue(QueueHandler):
    """Formats records on the logging thread and queues the lines; while the queue is full, new lines are dropped.

    SimpleQueue is reentrant, as logging from signal handlers and finalizers needs, but has no bound of its own. The
    bound is checked before each put, so it may be exceeded by one line per thread.
    """

    def __init__(self, stream: TextIO) -> None:
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        super().__init__(self._lines)
        self.lost = 0
        self._untold = 0
        LogWriter(self._lines, stream).start()

    def prepare(self, record: logging.LogRecord) -> str:
        """Format the record here: the current request is known only on the logging thread."""
        return self.format(record)

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a line, or count it as lost; the next line queued is followed by a warning with the number lost."""
        needed = 2 if self._untold else 1  # with the warning, which must not be lost in its turn
        if self._lines.qsize() + needed > MAX_QUEUED:
            self.lost += 1
            self._untold += 1
            return
        self.queue.put_nowait(record)
        untold, self._untold = self._untold, 0
        if untold:
            logger.warning("%d log lines were lost: standard error was not read", untold)

    def flush(self) -> None:
        """Wait until the queued lines are written, `FLUSH_S` at most."""
        written = threading.Event()
        self.queue.put_nowait(written)
        written.wait(FLUSH_S)


class LogWriter(QueueListener):
    """Writes lines to a stream's file descriptor, because the stream would hold its lock during a blocking write."""

    def __init__(self, lines: "queue.SimpleQueue[str | threading.Event]", stream: TextIO) -> None:
        super().__init__(lines)
        self._stream = stream

    def handle(self, record: logging.LogRecord | str | threading.Event) -> None:
        """Write a line, or signal the waiter in `flush` that all lines before are written."""
        if isinstance(record, threading.Event):
            record.set()
            return
        try:
            write(self._stream, f"{record}\n")
        except (OSError, ValueError):
            return  # A full disk, a closed pipe, a closed stream: the line cannot be written.


def write(stream: TextIO, text: str, limit_s: float | None = None) -> bool:
    """Write to a stream's descriptor, for `limit_s` seconds at most; return whether everything was written.

    Raises:
        OSError: it cannot be written.
        ValueError: the stream is closed.
    """
    try:
        descriptor = stream.fileno()
    except OSError:  # io.UnsupportedOperation: it has none
        stream.write(text)
        stream.flush()
        return True
    left = text.encode(stream.encoding or "utf-8", "backslashreplace")
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    while left:
        if not poller.poll(None if limit_s is None else limit_s * 1000):
            return False
        # A ready pipe takes PIPE_BUF bytes without blocking, unless another process fills it meanwhile.
        left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
    return True
