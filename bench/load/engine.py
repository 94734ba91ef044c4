"""`python -m bench.load.engine`: the bare engine on token ids, as the parent asks; see `bench.conversation`."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from typing import Any

from bench.contenders import Task, variant
from bench.conversation import Answer, converse


class Bare:
    """Our engine without a server around it."""

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """What the parent can ask."""
        return {"load": self.load, "run": self.run}

    def load(self, task: dict[str, Any], batches: list[list[list[int]]], streams: int) -> Answer:
        """Open the model and remember the batches, each a list of texts as token ids, and how many run at once.

        The answer has the seconds that opening took.
        """
        asked, started = Task(**task), time.perf_counter()
        self._engine = variant.load(replace(asked, threads=asked.threads // streams))
        self._batches = batches
        self._streams = streams
        return {"seconds": time.perf_counter() - started}

    def run(self, seconds: float, warm_s: float) -> Answer:
        """Compute the batches again and again, first unmeasured, then measured for at least `seconds`.

        The answer has texts, tokens, and the seconds of wall time and of CPU that they took.
        """
        self._compute(warm_s)
        used, started = time.process_time(), time.perf_counter()
        texts, tokens = self._compute(seconds)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - used
        return {"texts": texts, "tokens": tokens, "seconds": wall_s, "cpu_s": cpu_s}

    def _compute(self, seconds: float) -> tuple[int, int]:
        end = time.perf_counter() + seconds
        batches = cycle(self._batches)
        with ThreadPoolExecutor(self._streams) as pool:
            done = pool.map(self._stream, [batches] * self._streams, [end] * self._streams)
            texts, tokens = map(sum, zip(*done, strict=True))
        return texts, tokens

    def _stream(self, batches: Iterator[list[list[int]]], end: float) -> tuple[int, int]:
        """Compute one batch after another, whichever no other stream has taken."""
        texts = tokens = 0
        while time.perf_counter() < end:
            batch = next(batches)
            self._engine.run(batch)
            texts, tokens = texts + len(batch), tokens + sum(map(len, batch))
        return texts, tokens


if __name__ == "__main__":
    raise SystemExit(converse(Bare))
