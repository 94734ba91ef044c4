"""The texts that wait, in the order of their turns or of their requests' deadlines, and which of them are the same."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain

from server.batching.job import Job, Text

Entry = tuple[tuple[float, int], Text]


class PendingTexts:
    """Two heaps by turn, of small and of large requests, and an index by token ids.

    Settled texts stay in a heap until their turn comes or they outnumber the others, so that neither the end of a
    request nor an engine that hangs makes it slow or large. `tokens` counts those of all that wait, `small_s` the work
    of small requests, and `large` are the large ones that have texts here.
    """

    def __init__(self) -> None:
        self._small: list[Entry] = []
        self._large: list[Entry] = []
        self._alike: defaultdict[bytes, dict[Text, None]] = defaultdict(dict)
        self._alive = 0
        self.tokens = 0
        self.small_s = 0.0
        self.large: dict[Job, None] = {}

    def add(self, text: Text) -> None:
        """Let `text` wait for its turn."""
        self._push(text)
        self._alike[text.key][text] = None
        self._alive += 1
        self.tokens += text.tokens
        text.job.work_s += text.work_s
        text.job.unclaimed += 1
        if text.small:
            self.small_s += text.work_s
        else:
            self.large[text.job] = None

    def in_turn(self) -> Iterator[Text]:
        """Take texts out, first in turn first; those that are not used must be put back."""
        while self._small or self._large:
            yield heapq.heappop(self._next())[1]

    def in_order(self, jobs: Iterable[Job], due: float) -> Iterator[Text]:
        """Take small requests' texts out, first in turn first; from `due` on show those of `jobs`.

        Of those that are not used only the small ones must be put back.
        """
        large = chain.from_iterable(job.waiting_texts() for job in jobs)
        text = next(large, None)
        while self._small or text:
            if text is None or (self._small and self._small[0][0][0] <= due):
                yield heapq.heappop(self._small)[1]
            else:
                yield text
                text = next(large, None)

    def restart(self, due: float) -> None:
        """Let each large request's next text be due then, and each later one when those before it will be served."""
        for job in self.large:
            later = due
            for text in job.waiting_texts():
                text.turn = later, text.turn[1]
                later += text.tokens
        self._large = _alive(self._large)

    def put_back(self, texts: Iterable[Text]) -> None:
        """Let texts that were taken out wait on."""
        for text in texts:
            self._push(text)

    def claim(self, text: Text) -> list[Text]:
        """Mark `text` and all that wait for the same vector as taken; return them, none if it was taken before."""
        found = self._alike.pop(text.key, {})
        alike = [other for other in found if not other.settled]
        for other in found:
            self._leave(other)
        for other in alike:
            other.taken = other.job.begun = True
        self._sweep()
        return alike

    def forget(self, texts: Iterable[Text]) -> int:
        """Drop texts whose request has ended; return how many of them still waited."""
        dropped = 0
        for text in texts:
            alike = self._alike.get(text.key, {})
            if text in alike:
                del alike[text]
                self._leave(text)
                dropped += 1
            if not alike:
                self._alike.pop(text.key, None)
        self._sweep()
        return dropped

    def __len__(self) -> int:
        """How many places the heaps have, those of settled texts included."""
        return len(self._small) + len(self._large)

    def _push(self, text: Text) -> None:
        heapq.heappush(self._small if text.small else self._large, (text.turn, text))

    def _next(self) -> list[Entry]:
        if not self._small or not self._large:
            return self._small or self._large
        return min(self._small, self._large)

    def _leave(self, text: Text) -> None:
        job = text.job
        self._alive -= 1
        self.tokens -= text.tokens
        job.work_s -= text.work_s
        job.unclaimed -= 1
        if text.small:
            # Sums of floats drift: with nothing left there is nothing.
            self.small_s = max(0.0, self.small_s - text.work_s) if self._alive else 0.0
        elif not job.unclaimed:
            self.large.pop(job, None)

    def _sweep(self) -> None:
        if len(self) > 2 * self._alive + 1:
            self._small, self._large = _alive(self._small), _alive(self._large)


def _alive(heap: list[Entry]) -> list[Entry]:
    kept = [(text.turn, text) for _, text in heap if not text.settled]
    heapq.heapify(kept)
    return kept
