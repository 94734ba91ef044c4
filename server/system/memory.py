"""What connections and requests hold in memory: bytes by kind, under one limit."""

from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Self

from server.errors import OverloadedError

MEGABYTE = 2**20
# What may use the last quarter: whoever sends a few texts must not be kept out by those who send megabytes.
SMALL_BYTES = 65_536
LARGE_SHARE = 0.75
# A connection takes 8 KB by itself (measured), and a head as clients send it a few more. Both are set aside for as many
# connections as may be open, so that a probe needs no room that others may have taken.
USUAL_HEAD_BYTES = 4096
CONNECTION_BYTES = 8192 + USUAL_HEAD_BYTES
# The task that reads a body and waits for vectors (measured: 15 KB). Other requests are answered at once.
REQUEST_BYTES = 16_384
# A whole number of Python's above 256; up to there they are shared.
INTEGER_BYTES = 32
RETRY_AFTER_S = 1
# Once so much was held, and a quarter of it is left, the rest goes back to the system.
MUCH_BYTES = 32 * MEGABYTE
EBB = 0.25


class Kind(Enum):
    """What memory is held for."""

    CONNECTIONS = "connections"  # their heads where they are long, and bodies that were sent ahead
    REQUESTS = (
        "requests"  # their bodies as they arrive, then texts, then token ids and vectors, until they are answered
    )
    ANSWERS = "answers"  # that callers have not taken yet


CONNECTIONS, REQUESTS, ANSWERS = Kind


class Memory:
    """So many bytes for all that is held. It counts what it is told of, and refuses what does not fit."""

    def __init__(self, limit: int, ebbed: Callable[[], None] | None = None) -> None:
        """`ebbed` is called when most of what was held is given back: the C library keeps it for the process."""
        self.limit = limit
        self.held = dict.fromkeys(Kind, 0)
        self._ebbed = ebbed
        self._flood = 0

    @property
    def total(self) -> int:
        """Bytes that are held now."""
        return sum(self.held.values())

    def claim(self, kind: Kind) -> "Claim":
        """Begin to hold memory of `kind`: nothing yet."""
        return Claim(self, kind)

    def fits(self, more: int, *, large: bool) -> bool:
        """Whether `more` bytes can be held; for a `large` claim the last quarter is not there."""
        return self.total + more <= (self.limit * LARGE_SHARE if large else self.limit)

    def count(self, kind: Kind, more: int) -> None:
        """Count `more` bytes held, less where it is negative."""
        self.held[kind] += more
        total = self.total
        self._flood = max(self._flood, total)
        if self._ebbed and self._flood > MUCH_BYTES and total < EBB * self._flood:
            self._flood = total
            self._ebbed()


class Claim:
    """What one connection or request holds. Usable as a context, which releases it at its end."""

    __slots__ = ("_kind", "_memory", "bytes")

    def __init__(self, memory: Memory, kind: Kind) -> None:
        self._memory = memory
        self._kind = kind
        self.bytes = 0

    def hold(self, size: int) -> None:
        """Hold `size` bytes in all from now on, where before it was more or less.

        Raises:
            OverloadedError: it is more, and there is no room; as much as before is held.
        """
        more = size - self.bytes
        if more > 0 and not self._memory.fits(more, large=size > SMALL_BYTES):
            held, limit = (round(value / MEGABYTE) for value in (self._memory.total, self._memory.limit))
            raise OverloadedError(
                f"other requests take all the room in memory, {held} of {limit} MB; try again later", RETRY_AFTER_S
            )
        self.keep(size)

    def keep(self, size: int) -> None:
        """Hold `size` bytes, whether there is room or not: they are there already."""
        more, self.bytes = size - self.bytes, size
        self._memory.count(self._kind, more)

    def release(self) -> None:
        """Hold nothing any more."""
        self.keep(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def size_of(inputs: Iterable[str | list[int]]) -> int:
    """Return the bytes that texts or lists of token ids take, at most."""
    return sum(entry.__sizeof__() + (0 if isinstance(entry, str) else INTEGER_BYTES * len(entry)) for entry in inputs)
