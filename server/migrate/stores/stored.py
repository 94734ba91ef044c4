"""The interface for reading vectors by id from any store or file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from server.service.output import Output

ItemT = TypeVar("ItemT")


class Stored(Protocol):
    """A collection of vectors, each with an id."""

    def ids(self) -> Iterator[str]:
        """Yield every id, in an order that is stable while nothing is written.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def vectors(self, ids: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Read vectors [width] by id, as numbers of the type `output`; missing ids are left out.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def texts(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Read the texts that were embedded, by id; ids without a text are left out.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def space(self) -> str:
        """Return the id of the embedding space that the vectors are said to be of; empty if none is said.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def output(self) -> Output:
        """Return the type in which the vectors are stored; float32 if none is said.

        Raises:
            MigrateError: the store cannot be read, or says a type that is unknown.
        """
        ...

    def count(self) -> int:
        """Count the vectors.

        Raises:
            MigrateError: the store cannot be read.
        """
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


def chunks(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    """Divide `items` into lists of `size`; the last one may be shorter."""
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk
