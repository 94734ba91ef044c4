"""Log lines on their way out: a bounded queue and a thread that writes them, so that logging waits for no reader."""

import logging
import os
import queue
import select
import threading
from logging.handlers import QueueHandler, QueueListener
from typing import TextIO

# A line is a few hundred bytes, one with a traceback a few thousand.
MAX_QUEUED = 2_000
# How long the end of the process waits for lines to be written.
FLUSH_S = 1.0

logger = logging.getLogger(__name__)


class LogQueue(QueueHandler):
    """Formats records where they are logged, and loses the newest ones while the queue is full.

    The queue is one that may be entered again while it is being entered, as by a signal handler or a finalizer; its
    bound is checked before, and may be passed by a line for each thread.
    """

    def __init__(self, stream: TextIO) -> None:
        self._lines: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        super().__init__(self._lines)
        self.lost = 0
        self._untold = 0
        LogWriter(self._lines, stream).start()

    def prepare(self, record: logging.LogRecord) -> str:
        """Return the line: what it is made of (the request that is served) is known only where it is logged."""
        return self.format(record)

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a line, or count it as lost; the next one that is queued tells of those."""
        if self._lines.qsize() >= MAX_QUEUED:
            self.lost += 1
            self._untold += 1
            return
        self.queue.put_nowait(record)
        untold, self._untold = self._untold, 0
        if untold:
            logger.warning("%d log lines were lost: standard error was not read", untold)

    def flush(self) -> None:
        """Wait until what is queued is written, `FLUSH_S` at most."""
        written = threading.Event()
        self.queue.put_nowait(written)
        written.wait(FLUSH_S)


class LogWriter(QueueListener):
    """Writes lines to a stream's descriptor: the stream's own lock would be held as long as a write takes."""

    def __init__(self, lines: "queue.SimpleQueue[str | threading.Event]", stream: TextIO) -> None:
        super().__init__(lines)
        self._stream = stream

    def handle(self, record: logging.LogRecord | str | threading.Event) -> None:
        """Write a line, or tell whoever waits that all lines before are written."""
        if isinstance(record, threading.Event):
            record.set()
            return
        try:
            write(self._stream, f"{record}\n")
        except (OSError, ValueError):
            return  # A full disk, a closed pipe, a closed stream: the line cannot be written.


def write(stream: TextIO, text: str, limit_s: float | None = None) -> bool:
    """Write to a stream's descriptor, for `limit_s` seconds at most; tell whether all of it was.

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
        # A pipe that is ready takes so many bytes without waiting, unless another process fills it meanwhile.
        left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
    return True
