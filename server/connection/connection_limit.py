"""The connection limit, and which connection is closed for a new one when it is reached. Pure."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

# Connections accepted above the limit. Unless another connection can be closed for them, only probes are served there.
RESERVE = 32
# Grace period for a new connection to send its request, and for a closing one to read its answer.
MOMENT_S = 1.0


class Use(Enum):
    """The state of a connection, in the order of eviction."""

    CLOSING = "closing"  # the last answer is sent; waiting for the caller to close
    IDLE = "idle"  # between two requests
    SILENT = "silent"  # no byte received yet
    HEAD = "head"  # a head is incomplete
    BUSY = "busy"  # a request is being received or served: never evicted


CLOSING, IDLE, SILENT, HEAD, BUSY = Use
PATIENCE_S = {CLOSING: MOMENT_S, IDLE: 0.0, SILENT: MOMENT_S, HEAD: MOMENT_S}


class Guest(Protocol):
    """A connection."""

    def make_way(self) -> None:
        """Close to free the slot for another connection."""
        ...


class Places:
    """A fixed number of slots, with the state of the connection in each and the time of its last change."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._use: dict[Guest, Use] = {}
        self._since: dict[Use, dict[Guest, float]] = {use: {} for use in Use}

    @property
    def full(self) -> bool:
        """Whether all slots are taken."""
        return len(self._use) >= self._limit

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._use

    def note(self, guest: Guest, use: Use, now: float) -> None:
        """Record that `guest` is in state `use` since `now`, giving it a slot if it has none."""
        before = self._use.get(guest)
        if before is not use:
            if before:
                del self._since[before][guest]
            self._use[guest] = use
            self._since[use][guest] = now

    def leave(self, guest: Guest) -> None:
        """Free the slot of `guest`, if it has one."""
        if use := self._use.pop(guest, None):
            del self._since[use][guest]

    def find(self, now: float, hurry: bool) -> tuple[Guest, Use] | None:
        """Return the connection to evict, if any, and its state; with `hurry`, ignore grace periods."""
        for use, patience_s in PATIENCE_S.items():
            guest, since = next(iter(self._since[use].items()), (None, now))
            if guest is not None and (hurry or now - since >= patience_s):
                return guest, use
        return None


class ConnectionLimit:
    """The connection slots of a server: `limit` regular ones, and a reserve for when these are taken."""

    def __init__(self, limit: int, closed: Callable[[Use], None]) -> None:
        """`closed` is called with the state of every evicted connection."""
        self.limit = limit
        self._regular = Places(limit)
        self._reserve = Places(RESERVE)
        self._closed = closed

    def enter(self, guest: Guest, now: float) -> bool:
        """Give a new connection a slot, in the reserve if no regular one is free; return whether it got one."""
        places = self._reserve if self._regular.full else self._regular
        if places.full and not self._make_way(places, now, hurry=True):
            return False
        places.note(guest, SILENT, now)
        return True

    def settle(self, guest: Guest, now: float) -> bool:
        """Return whether the connection has a regular slot, moving it there from the reserve if possible."""
        if guest in self._regular:
            return True
        if self._regular.full and not self._make_way(self._regular, now, hurry=False):
            return False
        self._reserve.leave(guest)
        self._regular.note(guest, BUSY, now)
        return True

    def note(self, guest: Guest, use: Use, now: float) -> None:
        """Record the new state of a connection, if it has a slot."""
        for places in (self._regular, self._reserve):
            if guest in places:
                places.note(guest, use, now)

    def leave(self, guest: Guest) -> None:
        """Free the slot of a connection that has ended."""
        self._regular.leave(guest)
        self._reserve.leave(guest)

    def _make_way(self, places: Places, now: float, *, hurry: bool) -> bool:
        if (evicted := places.find(now, hurry)) is None:
            return False
        guest, use = evicted
        places.leave(guest)
        self._closed(use)
        guest.make_way()
        return True
