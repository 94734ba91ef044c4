"""What every store can be read by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from server.inference.engine import Vectors

ItemT = TypeVar("ItemT")


class Stored(Protocol):
    """Vectors that lie somewhere under ids."""

    def ids(self) -> Iterator[str]:
        """Yield every id, in an order that stays while nothing is written.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Vectors]:
        """Read vectors [dimension] by id; ids that are not there are left out.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def count(self) -> int:
        """Count the vectors.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def chunks(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    """Divide `items` into lists of `size`, the last one shorter."""
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk
