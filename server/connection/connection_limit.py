"""The connection limit, and which connection is closed for a new one when it is reached. Pure."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

# Connections accepted above the limit. Unless another connection can be closed for them, only probes are served there.
RESERVE = 32
# Grace period for a new connection to send its request, and for a closing one to read its answer.
SHORT_GRACE_S = 1.0


class Use(Enum):
    """The state of a connection, in the order of eviction."""

    CLOSING = "closing"  # the last answer is sent; waiting for the caller to close
    IDLE = "idle"  # between two requests
    SILENT = "silent"  # no byte received yet
    HEAD = "head"  # a head is incomplete
    BUSY = "busy"  # a request is being received or served: never evicted


CLOSING, IDLE, SILENT, HEAD, BUSY = Use
GRACE_S = {CLOSING: SHORT_GRACE_S, IDLE: 0.0, SILENT: SHORT_GRACE_S, HEAD: SHORT_GRACE_S}


class Evictable(Protocol):
    """A connection."""

    def evict(self) -> None:
        """Close to free the slot for another connection."""
        ...


class Slots:
    """A fixed number of slots, with the state of the connection in each and the time of its last change."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._use: dict[Evictable, Use] = {}
        self._since: dict[Use, dict[Evictable, float]] = {use: {} for use in Use}

    @property
    def full(self) -> bool:
        """Whether all slots are taken."""
        return len(self._use) >= self._limit

    def __contains__(self, connection: Evictable) -> bool:
        return connection in self._use

    def note(self, connection: Evictable, use: Use, now: float) -> None:
        """Record that `connection` is in state `use` since `now`, giving it a slot if it has none."""
        before = self._use.get(connection)
        if before is not use:
            if before:
                del self._since[before][connection]
            self._use[connection] = use
            self._since[use][connection] = now

    def leave(self, connection: Evictable) -> None:
        """Free the slot of `connection`, if it has one."""
        if use := self._use.pop(connection, None):
            del self._since[use][connection]

    def find(self, now: float, ignore_grace: bool) -> tuple[Evictable, Use] | None:
        """Return the connection to evict, if any, and its state; with `ignore_grace`, ignore grace periods."""
        for use, grace_s in GRACE_S.items():
            connection, since = next(iter(self._since[use].items()), (None, now))
            if connection is not None and (ignore_grace or now - since >= grace_s):
                return connection, use
        return None


class ConnectionLimit:
    """The connection slots of a server: `limit` regular ones, and a reserve for when these are taken."""

    def __init__(self, limit: int, closed: Callable[[Use], None]) -> None:
        """`closed` is called with the state of every evicted connection."""
        self.limit = limit
        self._regular = Slots(limit)
        self._reserve = Slots(RESERVE)
        self._closed = closed

    def enter(self, connection: Evictable, now: float) -> bool:
        """Give a new connection a slot, in the reserve if no regular one is free; return whether it got one."""
        slots = self._reserve if self._regular.full else self._regular
        if slots.full and not self._evict(slots, now, ignore_grace=True):
            return False
        slots.note(connection, SILENT, now)
        return True

    def settle(self, connection: Evictable, now: float) -> bool:
        """Return whether the connection has a regular slot, moving it there from the reserve if possible."""
        if connection in self._regular:
            return True
        if self._regular.full and not self._evict(self._regular, now, ignore_grace=False):
            return False
        self._reserve.leave(connection)
        self._regular.note(connection, BUSY, now)
        return True

    def note(self, connection: Evictable, use: Use, now: float) -> None:
        """Record the new state of a connection, if it has a slot."""
        for slots in (self._regular, self._reserve):
            if connection in slots:
                slots.note(connection, use, now)

    def leave(self, connection: Evictable) -> None:
        """Free the slot of a connection that has ended."""
        self._regular.leave(connection)
        self._reserve.leave(connection)

    def _evict(self, slots: Slots, now: float, *, ignore_grace: bool) -> bool:
        if (evicted := slots.find(now, ignore_grace)) is None:
            return False
        connection, use = evicted
        slots.leave(connection)
        self._closed(use)
        connection.evict()
        return True
