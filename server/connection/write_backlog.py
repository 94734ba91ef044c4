"""A limit on the memory held by unread answers, over all connections. Pure: the time is passed in."""

from typing import Protocol

from server.system.memory import ANSWERS, LARGE_SHARE, Memory

# The backlog's share of the memory for requests.
SHARE = 0.25
# How callers read is judged once in this many seconds.
WINDOW_S = 1.0
# The kernel asks for more only once a third of its buffer is free: a steady reader may seem to stop for some windows.
SLOW_WINDOWS = 4


class Droppable(Protocol):
    """A connection with an unread answer."""

    @property
    def held_bytes(self) -> int:
        """Bytes of memory held: the whole answer until its last byte is read."""
        ...

    @property
    def unread_bytes(self) -> int:
        """Bytes of the answer that the kernel has not taken yet."""
        ...

    def drop(self) -> None:
        """Close at once, discarding the answer."""
        ...


class ReadingPace:
    """How one caller reads an answer of `held` bytes that has been waiting since `since`."""

    __slots__ = ("_unread", "held", "since", "slow_windows")

    def __init__(self, held: int, since: float) -> None:
        self.held = held
        self.since = since
        self.slow_windows = 0
        self._unread: int | None = None

    def judge(self, unread: int, elapsed: float, left_s: float) -> None:
        """Compare the rest at the pace of the last `elapsed` seconds with the time that is left for it.

        The first time only notes what is unread: most of what was read until then filled the kernel's buffers.
        """
        if self._unread is not None:
            slow = elapsed * unread > (self._unread - unread) * max(left_s, 0.0)
            self.slow_windows = self.slow_windows + 1 if slow else 0
        self._unread = unread


class WriteBacklog:
    """Connections whose unread answer exceeds the kernel's buffers, oldest first.

    Above their share of `memory`, the oldest of those are dropped that at their pace will not have read the answer
    `limit_s` seconds after it was written. Others are spared, but not at the cost of the memory that is kept for small
    requests: then the oldest are dropped whatever their pace. The newest is never dropped.
    """

    def __init__(self, memory: Memory, limit_s: float) -> None:
        self._memory = memory
        self._limit_s = limit_s
        self._claim = memory.claim(ANSWERS)
        self._readings: dict[Droppable, ReadingPace] = {}
        self._judged_at = 0.0

    def add(self, newest: Droppable, now: float) -> None:
        """Add a connection, dropping others while over the limit."""
        self.discard(newest)
        reading = self._readings[newest] = ReadingPace(newest.held_bytes, now)
        self._claim.keep(self._claim.bytes + reading.held)
        self._make_room()

    def discard(self, connection: Droppable) -> None:
        """Remove a connection whose answer has been read, or that has ended."""
        if reading := self._readings.pop(connection, None):
            self._claim.keep(self._claim.bytes - reading.held)

    def enforce(self, now: float) -> None:
        """Judge how all read, once in a window, and drop connections while over the limit."""
        elapsed = now - self._judged_at
        if elapsed < WINDOW_S:
            return
        self._judged_at = now
        for connection, reading in self._readings.items():
            reading.judge(connection.unread_bytes, elapsed, reading.since + self._limit_s - now)
        self._make_room()

    def extend(self, connection: Droppable, seconds: float) -> None:
        """Discount `seconds` in which this process was suspended."""
        if reading := self._readings.get(connection):
            reading.since += seconds

    def _make_room(self) -> None:
        share = int(SHARE * self._memory.limit)
        if self._claim.bytes <= share:
            return
        newest = next(reversed(self._readings))
        slow = [one for one, reading in self._readings.items() if reading.slow_windows >= SLOW_WINDOWS]
        for connection in slow:
            if self._claim.bytes > share and connection is not newest:
                self._drop(connection)
        others = self._memory.total - self._claim.bytes
        limit = max(share, int(LARGE_SHARE * self._memory.limit) - others)
        while self._claim.bytes > limit and len(self._readings) > 1:
            self._drop(next(iter(self._readings)))

    def _drop(self, connection: Droppable) -> None:
        self.discard(connection)
        connection.drop()
