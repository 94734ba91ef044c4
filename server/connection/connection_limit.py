"""Room for connections: so many at most, and when all are there, which of them has to go for the next one. Pure."""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

# Connections over the bound: their requests are read, but where no other connection gives way, only probes are served.
RESERVE = 32
# A caller that has just connected needs a moment to send its request, and one that was answered to read the answer.
MOMENT_S = 1.0


class Use(Enum):
    """What a connection is good for, in the order in which they are closed when there is no room."""

    CLOSING = "closing"  # answered for the last time; it waits for the caller to close
    IDLE = "idle"  # between two requests
    SILENT = "silent"  # nothing has come yet
    HEAD = "head"  # a request's headers have begun to come and do not end
    BUSY = "busy"  # a request is on it: never closed for another


CLOSING, IDLE, SILENT, HEAD, BUSY = Use
PATIENCE_S = {CLOSING: MOMENT_S, IDLE: 0.0, SILENT: MOMENT_S, HEAD: MOMENT_S}


class Guest(Protocol):
    """A connection."""

    def make_way(self) -> None:
        """Close now, as its use allows."""
        ...


class Places:
    """So many places for connections, and since when each of them has been what it is."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._use: dict[Guest, Use] = {}
        self._since: dict[Use, dict[Guest, float]] = {use: {} for use in Use}

    @property
    def full(self) -> bool:
        """Whether every place is taken."""
        return len(self._use) >= self._limit

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._use

    def note(self, guest: Guest, use: Use, now: float) -> None:
        """Give `guest` a place if it has none, and note what it is used for since `now`."""
        before = self._use.get(guest)
        if before is not use:
            if before:
                del self._since[before][guest]
            self._use[guest] = use
            self._since[use][guest] = now

    def leave(self, guest: Guest) -> None:
        """Free the place of `guest`, if it has one."""
        if use := self._use.pop(guest, None):
            del self._since[use][guest]

    def find(self, now: float, hurry: bool) -> tuple[Guest, Use] | None:
        """Return whose place is the least use; in a `hurry`, without leaving it a moment."""
        for use, patience_s in PATIENCE_S.items():
            guest, since = next(iter(self._since[use].items()), (None, now))
            if guest is not None and (hurry or now - since >= patience_s):
                return guest, use
        return None


class ConnectionLimit:
    """The places of a server: `limit` for everyone, and the reserve for those who come when these are taken."""

    def __init__(self, limit: int, closed: Callable[[Use], None]) -> None:
        """`closed` hears of every connection that is closed for another."""
        self.limit = limit
        self._regular = Places(limit)
        self._reserve = Places(RESERVE)
        self._closed = closed

    def enter(self, guest: Guest, now: float) -> bool:
        """Give a new connection a place, in the reserve where no other is free; tell whether it got one."""
        places = self._reserve if self._regular.full else self._regular
        if places.full and not self._make_way(places, now, hurry=True):
            return False
        places.note(guest, SILENT, now)
        return True

    def settle(self, guest: Guest, now: float) -> bool:
        """Tell whether any request of this connection may be served: one in the reserve needs a regular place."""
        if guest in self._regular:
            return True
        if self._regular.full and not self._make_way(self._regular, now, hurry=False):
            return False
        self._reserve.leave(guest)
        self._regular.note(guest, BUSY, now)
        return True

    def note(self, guest: Guest, use: Use, now: float) -> None:
        """Note what a connection is used for from now on, if it has a place."""
        for places in (self._regular, self._reserve):
            if guest in places:
                places.note(guest, use, now)

    def leave(self, guest: Guest) -> None:
        """Free the place of a connection that has ended."""
        self._regular.leave(guest)
        self._reserve.leave(guest)

    def _make_way(self, places: Places, now: float, *, hurry: bool) -> bool:
        if (found := places.find(now, hurry)) is None:
            return False
        guest, use = found
        places.leave(guest)
        self._closed(use)
        guest.make_way()
        return True
