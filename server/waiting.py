"""The texts that wait, in the order of their turns, and which of them are the same."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator

from server.job import Text


class WaitingTexts:
    """A heap by turn, and an index by token ids.

    Settled texts stay in the heap until their turn comes or they outnumber the others, so that neither the end of a
    request nor an engine that hangs makes it slow or large. `tokens` counts those of all that wait.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[float, int], Text]] = []
        self._alike: defaultdict[bytes, dict[Text, None]] = defaultdict(dict)
        self._settled = 0
        self.tokens = 0

    def add(self, text: Text) -> None:
        """Let `text` wait for its turn."""
        heapq.heappush(self._heap, (text.turn, text))
        self._alike[text.key][text] = None
        self.tokens += text.tokens

    def in_turn(self) -> Iterator[Text]:
        """Take texts out, first in turn first; those that are not used must be put back."""
        while self._heap:
            yield heapq.heappop(self._heap)[1]

    def put_back(self, texts: Iterable[Text]) -> None:
        """Let texts that were taken out wait on."""
        for text in texts:
            heapq.heappush(self._heap, (text.turn, text))

    def claim(self, text: Text) -> list[Text]:
        """Mark `text` and all that wait for the same vector as taken; return them, none if it was taken before."""
        found = self._alike.pop(text.key, {})
        self.tokens -= text.tokens * len(found)
        alike = [other for other in found if not other.settled]
        for other in alike:
            other.taken = True
        self._settled += len(alike) - 1
        return alike

    def forget(self, texts: Iterable[Text]) -> None:
        """Drop texts whose request has ended."""
        for text in texts:
            alike = self._alike.get(text.key, {})
            if text in alike:
                del alike[text]
                self.tokens -= text.tokens
                self._settled += 1
            if not alike:
                self._alike.pop(text.key, None)
        if 2 * self._settled > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[1].settled]
            heapq.heapify(self._heap)
            self._settled = 0

    def __len__(self) -> int:
        """How many places the heap has, those of settled texts included."""
        return len(self._heap)
