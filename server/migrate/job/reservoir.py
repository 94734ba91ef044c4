"""Reservoir sampling: a uniform sample of a stream of unknown length, in bounded memory."""

import random
from typing import Generic, TypeVar

T = TypeVar("T")


class Reservoir(Generic[T]):
    """A uniform sample of at most `size` of the items added; the same `seed` picks the same positions.

    Algorithm R (Vitter, "Random Sampling with a Reservoir", 1985).
    """

    def __init__(self, size: int, seed: int) -> None:
        self.items: list[T] = []
        self.seen = 0
        self._size = size
        self._random = random.Random(seed)  # noqa: S311 - a sample, no secret

    def add(self, item: T) -> None:
        """Offer the next item of the stream."""
        if self.seen < self._size:
            self.items.append(item)
        elif (place := self._random.randrange(self.seen + 1)) < self._size:
            self.items[place] = item
        self.seen += 1

    def shuffled(self) -> list[T]:
        """Return the sample in random order."""
        self._random.shuffle(self.items)
        return self.items
