"""The memory budget: counts the bytes that connections and requests hold, by kind, under one limit."""

from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import Self

from server.errors import OverloadedError

MEGABYTE = 2**20
# The last quarter is reserved for claims up to this size, so that large requests cannot keep small ones out.
SMALL_BYTES = 65_536
LARGE_SHARE = 0.75
# A connection takes 8 KB (measured), and a usual request head a few more. Both are reserved for the maximum number of
# connections, so that a probe never depends on memory that others may have taken.
USUAL_HEAD_BYTES = 4096
CONNECTION_BYTES = 8192 + USUAL_HEAD_BYTES
# The task that reads a body and waits for vectors (measured: 15 KB). Other requests need no task that waits.
REQUEST_BYTES = 16_384
# A Python integer above 256; smaller ones are shared objects.
INTEGER_BYTES = 32
RETRY_AFTER_S = 1
# When the total falls to EBB of its peak, and the peak was above MUCH_BYTES, free memory is returned to the system.
MUCH_BYTES = 32 * MEGABYTE
EBB = 0.25


class Kind(Enum):
    """What the memory is held for."""

    CONNECTIONS = "connections"  # long heads, and pipelined bodies
    REQUESTS = "requests"  # bodies as they arrive, then texts, then token ids and vectors, until they are answered
    ANSWERS = "answers"  # not yet read by the callers


CONNECTIONS, REQUESTS, ANSWERS = Kind


class Memory:
    """A budget of `limit` bytes for everything held; claims beyond it are refused."""

    def __init__(self, limit: int, ebbed: Callable[[], None] | None = None) -> None:
        """`ebbed` is called after a peak, when most of the memory is released: malloc keeps it for the process."""
        self.limit = limit
        self.held = dict.fromkeys(Kind, 0)
        self._ebbed = ebbed
        self._flood = 0

    @property
    def total(self) -> int:
        """Bytes that are held now."""
        return sum(self.held.values())

    def claim(self, kind: Kind) -> "Claim":
        """Create an empty claim of `kind`."""
        return Claim(self, kind)

    def fits(self, more: int, *, large: bool) -> bool:
        """Return whether `more` bytes are available; a `large` claim cannot use the last quarter."""
        return self.total + more <= (self.limit * LARGE_SHARE if large else self.limit)

    def count(self, kind: Kind, more: int) -> None:
        """Add `more` bytes, which may be negative, to the total of `kind`."""
        self.held[kind] += more
        total = self.total
        self._flood = max(self._flood, total)
        if self._ebbed and self._flood > MUCH_BYTES and total < EBB * self._flood:
            self._flood = total
            self._ebbed()


class Claim:
    """The bytes held by one connection or request; as a context manager it releases them at the end."""

    __slots__ = ("_kind", "_memory", "bytes")

    def __init__(self, memory: Memory, kind: Kind) -> None:
        self._memory = memory
        self._kind = kind
        self.bytes = 0

    def hold(self, size: int) -> None:
        """Change the claim to `size` bytes in all.

        Raises:
            OverloadedError: the increase does not fit; the claim is unchanged.
        """
        more = size - self.bytes
        if more > 0 and not self._memory.fits(more, large=size > SMALL_BYTES):
            held, limit = (round(value / MEGABYTE) for value in (self._memory.total, self._memory.limit))
            raise OverloadedError(
                f"other requests take all the room in memory, {held} of {limit} MB; try again later", RETRY_AFTER_S
            )
        self.keep(size)

    def keep(self, size: int) -> None:
        """Change the claim to `size` bytes without checking the limit, for memory that is allocated already."""
        more, self.bytes = size - self.bytes, size
        self._memory.count(self._kind, more)

    def release(self) -> None:
        """Release all bytes."""
        self.keep(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def size_of(inputs: Iterable[str | list[int]]) -> int:
    """Return an upper bound for the bytes that texts or lists of token ids take."""
    return sum(entry.__sizeof__() + (0 if isinstance(entry, str) else INTEGER_BYTES * len(entry)) for entry in inputs)
