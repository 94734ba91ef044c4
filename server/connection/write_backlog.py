"""A limit on the memory held by unread answers, over all connections."""

from typing import Protocol

from server.system.memory import ANSWERS, Memory

# The backlog's share of the memory for requests.
SHARE = 0.25


class Droppable(Protocol):
    """A connection with an unread answer."""

    @property
    def held_bytes(self) -> int:
        """Bytes of memory held: the whole answer until its last byte is read."""
        ...

    def drop(self) -> None:
        """Close at once, discarding the answer."""
        ...


class WriteBacklog:
    """Connections whose unread answer exceeds the kernel's buffers, oldest first.

    Above their share of `memory`, the oldest are dropped, but never the newest: a caller that reads gets an answer of
    any size, and callers that do not read hold at most the share and one answer.
    """

    def __init__(self, memory: Memory) -> None:
        self._limit = int(SHARE * memory.limit)
        self._claim = memory.claim(ANSWERS)
        self._connections: dict[Droppable, None] = {}

    def add(self, newest: Droppable) -> None:
        """Add a connection, dropping the oldest others while over the limit."""
        self._connections.pop(newest, None)
        excess = sum(connection.held_bytes for connection in self._connections) + newest.held_bytes - self._limit
        while excess > 0 and self._connections:
            oldest = next(iter(self._connections))
            excess -= oldest.held_bytes
            del self._connections[oldest]
            oldest.drop()
        self._connections[newest] = None
        self._count()

    def discard(self, connection: Droppable) -> None:
        """Remove a connection whose answer has been read, or that has ended."""
        if connection in self._connections:
            del self._connections[connection]
            self._count()

    def _count(self) -> None:
        self._claim.keep(sum(connection.held_bytes for connection in self._connections))
