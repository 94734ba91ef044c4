"""Prefetches the next item of an iterator on another thread."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")


def ahead(items: Iterator[ItemT]) -> Generator[ItemT, None, None]:
    """Yield `items`, none of which may be None; each is computed on another thread while the previous one is in use."""
    with ThreadPoolExecutor(1, "reader") as reader:
        coming = reader.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = reader.submit(next, items, None)
            yield item
