"""A limit on the memory held by unread answers, over all connections. Pure: the time is passed in."""

from typing import Protocol

from server.system.memory import ANSWERS, Memory

# The backlog's share of the memory for requests.
SHARE = 0.25
# Seconds of reading from which a pace is judged.
WINDOW_S = 1.0


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


class Pace:
    """How fast a caller reads: bytes between two moments, the first after the kernel has filled its buffers."""

    __slots__ = ("_at", "_unread", "slow")

    def __init__(self) -> None:
        self.slow = False
        self._at: float | None = None
        self._unread = 0

    def update(self, unread: int, now: float, limit_s: float) -> None:
        """Judge whether the rest would take more than `limit_s` seconds, once there is a window to judge by."""
        if self._at is not None:
            elapsed = now - self._at
            if elapsed < WINDOW_S:
                return
            self.slow = elapsed * unread > (self._unread - unread) * limit_s
        self._at, self._unread = now, unread


class WriteBacklog:
    """Connections whose unread answer exceeds the kernel's buffers, oldest first.

    Above their share of `memory`, the oldest of those are dropped that at their latest pace would not read the rest
    within `limit_s` seconds. A caller that reads gets an answer of any size, unless the answers of all take more than
    `memory`: then the oldest are dropped whatever their pace. The newest is never dropped.
    """

    def __init__(self, memory: Memory, limit_s: float) -> None:
        self._memory = memory
        self._limit_s = limit_s
        self._claim = memory.claim(ANSWERS)
        self._paces: dict[Droppable, Pace] = {}

    def add(self, newest: Droppable, now: float) -> None:
        """Add a connection, dropping others while over the limit."""
        self._paces.pop(newest, None)
        for connection, pace in self._paces.items():
            pace.update(connection.unread_bytes, now, self._limit_s)
        self._drop([other for other, pace in self._paces.items() if pace.slow], newest, int(SHARE * self._memory.limit))
        others = self._memory.total - self._claim.bytes
        self._drop(list(self._paces), newest, self._memory.limit - others)
        self._paces[newest] = Pace()
        self._count()

    def discard(self, connection: Droppable) -> None:
        """Remove a connection whose answer has been read, or that has ended."""
        if self._paces.pop(connection, None) is not None:
            self._count()

    def _drop(self, oldest_first: list[Droppable], newest: Droppable, limit: int) -> None:
        excess = self._held() + newest.held_bytes - limit
        for connection in oldest_first:
            if excess <= 0:
                return
            excess -= connection.held_bytes
            del self._paces[connection]
            connection.drop()

    def _held(self) -> int:
        return sum(connection.held_bytes for connection in self._paces)

    def _count(self) -> None:
        self._claim.keep(self._held())
