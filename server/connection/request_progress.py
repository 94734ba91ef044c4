"""How much of a request one connection has received, and when the rest is due. Pure: sizes and times are passed in."""

import math
from enum import Enum


class Awaiting(Enum):
    """The part of a request that is expected next."""

    REQUEST = "request"
    HEAD = "head"
    BODY = "body"


REQUEST, HEAD, BODY = Awaiting


class RequestProgress:
    """Progress of the request being received. Sizes are in bytes, times in seconds of one clock."""

    def __init__(self, receive_timeout_s: float, keep_alive_s: float, now: float) -> None:
        """Expect the first head; its timeout starts when the connection is accepted."""
        self.awaiting = REQUEST
        self.due = now + receive_timeout_s
        self.received = 0
        self._receive_timeout_s = receive_timeout_s
        self._keep_alive_s = keep_alive_s
        self._any_head = False
        self._chunk = self._first_chunk = 0
        self._begun_in_this_chunk = False

    @property
    def seen(self) -> int:
        """Bytes received from the start of the chunk in which the head began, as of the last `count`."""
        return self._first_chunk + self.received

    @property
    def arriving(self) -> int:
        """Upper bound on the bytes of the request being received, the chunk being parsed included."""
        return self.received + self._chunk

    def take(self, size: int) -> None:
        """Start parsing a chunk of `size` bytes."""
        self._chunk = size

    def count(self) -> None:
        """Count the parsed chunk, unless the request began within it: its share of the chunk is unknown."""
        self.received += 0 if self._begun_in_this_chunk else self._chunk
        self._begun_in_this_chunk = False

    def begin_head(self, now: float) -> None:
        """Start a head and its receive timeout; that of the first head is already running."""
        self.awaiting = HEAD
        self._begun_in_this_chunk = True
        self._first_chunk, self.received = self._chunk, 0
        if self._any_head:
            self.due = now + self._receive_timeout_s

    def end_head(self) -> None:
        """End the head; the body's timeout is kept by its reader."""
        self.awaiting = BODY
        self.due = math.inf
        self._any_head = True

    def end_body(self) -> None:
        """End the body; the next byte belongs to another request."""
        self.awaiting = REQUEST

    def answer(self, now: float) -> None:
        """Record that all requests are answered: expect another, or the rest of a body that is discarded."""
        if self.awaiting is not HEAD:
            idle = self.awaiting is REQUEST
            self.due = now + (self._keep_alive_s if idle else self._receive_timeout_s)

    def await_nothing(self) -> None:
        """Clear the deadline."""
        self.due = math.inf

    def linger(self, seconds: float, now: float) -> None:
        """Allow `seconds` for the caller to close after the last answer, and count what it still sends from 0."""
        self.received = 0
        self.due = now + seconds

    def restart_timeout(self, now: float) -> None:
        """Restart the timeout: reading was paused, so the caller is not late."""
        self.due = now + self._receive_timeout_s

    def extend(self, seconds: float) -> None:
        """Extend the deadline by `seconds` in which this process was suspended."""
        self.due += seconds

    def next_check(self, now: float) -> float:
        """Return when to check the deadline next.

        Except when lingering, a deadline is set at least two intervals ahead, so it never passes between two checks.
        """
        turn = min(self._receive_timeout_s, self._keep_alive_s) / 2
        return min(self.due, now + turn)
