"""How much of a request has arrived on one connection, and when the rest is due. Pure: fed with sizes and a clock."""

import math
from enum import Enum


class Awaiting(Enum):
    """Which part of a request comes next on the wire."""

    REQUEST = "request"
    HEAD = "head"
    BODY = "body"


REQUEST, HEAD, BODY = Awaiting


class RequestProgress:
    """The request that is being received, each in turn. Sizes are in bytes, times in seconds on one clock."""

    def __init__(self, receive_timeout_s: float, keep_alive_s: float, now: float) -> None:
        """Await the first head, whose clock runs since the connection was accepted."""
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
        """Bytes that have arrived since the chunk in which the head began, that chunk included; once it is counted."""
        return self._first_chunk + self.received

    @property
    def arriving(self) -> int:
        """Bytes of which the request on the wire can be made, the chunk that is being parsed included."""
        return self.received + self._chunk

    def take(self, size: int) -> None:
        """Begin to parse a chunk of `size` bytes."""
        self._chunk = size

    def count(self) -> None:
        """Count the parsed chunk, unless the request began in it: what of it belongs to the request is not known."""
        self.received += 0 if self._begun_in_this_chunk else self._chunk
        self._begun_in_this_chunk = False

    def begin_head(self, now: float) -> None:
        """A head has begun, and has the receive timeout from now on; the first one's runs already."""
        self.awaiting = HEAD
        self._begun_in_this_chunk = True
        self._first_chunk, self.received = self._chunk, 0
        if self._any_head:
            self.due = now + self._receive_timeout_s

    def end_head(self) -> None:
        """The head is whole; for its body, whoever reads that has a clock of its own."""
        self.awaiting = BODY
        self.due = math.inf
        self._any_head = True

    def end_body(self) -> None:
        """The next byte belongs to another request."""
        self.awaiting = REQUEST

    def answer(self, now: float) -> None:
        """All that was asked is answered: await another request, or the rest of a body that nobody reads any more."""
        if self.awaiting is not HEAD:
            idle = self.awaiting is REQUEST
            self.due = now + (self._keep_alive_s if idle else self._receive_timeout_s)

    def await_nothing(self) -> None:
        """The caller owes nothing."""
        self.due = math.inf

    def linger(self, seconds: float, now: float) -> None:
        """The last answer is written: count anew what still comes, for so long at most."""
        self.received = 0
        self.due = now + seconds

    def excuse(self, now: float) -> None:
        """The caller is not late: its bytes were not read. Its time begins again."""
        self.due = now + self._receive_timeout_s

    def forgive(self, seconds: float) -> None:
        """Leave out of account `seconds` in which this process did not run."""
        self.due += seconds

    def next_look(self, now: float) -> float:
        """When to look for what is overdue.

        No due time is set nearer than two turns, but for the one of lingering, so none passes between two looks.
        """
        turn = min(self._receive_timeout_s, self._keep_alive_s) / 2
        return min(self.due, now + turn)
