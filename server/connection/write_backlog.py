"""Answers that their callers have not taken yet: so many bytes at most, whatever the number of connections."""

from typing import Protocol

from server.system.memory import ANSWERS, Memory

# Of what requests may hold in memory.
SHARE = 0.25


class Owing(Protocol):
    """A connection with an answer that waits to be taken."""

    @property
    def held_bytes(self) -> int:
        """How much memory it holds: all of it until the last byte is taken."""
        ...

    def drop(self) -> None:
        """Close at once; the answer is lost."""
        ...


class WriteBacklog:
    """Connections that owe an answer too large for the system's buffers, in the order in which they began to wait.

    When they hold more than their share of `memory`, those that have waited longest are dropped, the newest never: a
    caller that reads gets an answer of any size, and callers that do not read use up no more than the share and one
    answer.
    """

    def __init__(self, memory: Memory) -> None:
        self._limit = int(SHARE * memory.limit)
        self._claim = memory.claim(ANSWERS)
        self._owing: dict[Owing, None] = {}

    def add(self, newest: Owing) -> None:
        """Count a connection from now on, and drop others for it where there is no room."""
        self._owing.pop(newest, None)
        excess = sum(owing.held_bytes for owing in self._owing) + newest.held_bytes - self._limit
        while excess > 0 and self._owing:
            oldest = next(iter(self._owing))
            excess -= oldest.held_bytes
            del self._owing[oldest]
            oldest.drop()
        self._owing[newest] = None
        self._count()

    def discard(self, owing: Owing) -> None:
        """Count a connection no longer: its answer is taken, or it has ended."""
        if owing in self._owing:
            del self._owing[owing]
            self._count()

    def _count(self) -> None:
        self._claim.keep(sum(owing.held_bytes for owing in self._owing))
