"""The next item while the present one is worked on."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")


def ahead(items: Iterator[ItemT]) -> Generator[ItemT, None, None]:
    """Yield `items`, none of which is None, each computed on another thread while the one before is in use."""
    with ThreadPoolExecutor(1, "reader") as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item
