"""The queue of texts, in order of fair turns or of deadlines, with an index of identical ones."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain

from server.batching.job import Job, Text

Entry = tuple[tuple[float, int], Text]


class PendingTexts:
    """Two heaps ordered by turn, for small and large requests, and an index by token ids.

    Settled texts are removed lazily, when their turn comes or they outnumber the others. So ending a request is cheap,
    and the heaps stay bounded even if the engine hangs. `tokens` counts all queued tokens, `small_s` the work of small
    requests in seconds; `large` holds the large requests with queued texts.
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
        """Enqueue `text`."""
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
        """Pop texts in order of turn; the caller must put back those it does not use."""
        while self._small or self._large:
            yield heapq.heappop(self._next())[1]

    def in_order(self, jobs: Iterable[Job], due: float) -> Iterator[Text]:
        """Pop small requests' texts due up to `due`, then yield those of `jobs`, then pop the rest.

        Of the texts it does not use, the caller must put back only the small ones.
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
        """Reassign large requests' turns: the next text of each is due at `due`, later ones after those before them."""
        for job in self.large:
            later = due
            for text in job.waiting_texts():
                text.turn = later, text.turn[1]
                later += text.tokens
        self._large = _alive(self._large)

    def put_back(self, texts: Iterable[Text]) -> None:
        """Return popped texts to the queue."""
        for text in texts:
            self._push(text)

    def claim(self, text: Text) -> list[Text]:
        """Mark `text` and all identical queued texts as taken; return them, or nothing if it was taken before."""
        queued = self._alike.pop(text.key, {})
        alike = [other for other in queued if not other.settled]
        for other in queued:
            self._leave(other)
        for other in alike:
            other.taken = other.job.begun = True
        self._sweep()
        return alike

    def forget(self, texts: Iterable[Text]) -> int:
        """Drop texts whose request has ended; return how many of them were still queued."""
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
        """Number of heap entries, settled texts included."""
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
            # Reset when empty, because floating-point sums drift.
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
