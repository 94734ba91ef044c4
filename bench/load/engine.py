"""`python -m bench.load.engine`: run the bare engine on token ids; see `bench.conversation`."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from typing import Any

from bench.contenders import Task, variant
from bench.conversation import Answer, converse
from server.batching.stream_plan import pool_threads


class BareEngine:
    """Request handlers around the engine without a server."""

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """Operations by name."""
        return {"load": self.load, "run": self.run}

    def load(self, task: dict[str, Any], batches: list[list[list[int]]], streams: int) -> Answer:
        """Load the model; keep the batches (lists of token-id sequences) and the number of concurrent streams.

        Returns the seconds that loading took.
        """
        asked, started = Task(**task), time.perf_counter()
        self._engine = variant.load(replace(asked, threads=pool_threads(asked.threads, streams)))
        self._batches = batches
        self._streams = streams
        return {"seconds": time.perf_counter() - started}

    def run(self, seconds: float, warm_s: float) -> Answer:
        """Compute the batches repeatedly: `warm_s` of warm-up, then at least `seconds` measured.

        Returns texts, tokens, and seconds of wall and CPU time.
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
        """Compute batches from the shared iterator until `end`."""
        texts = tokens = 0
        while time.perf_counter() < end:
            batch = next(batches)
            self._engine.run(batch)
            texts, tokens = texts + len(batch), tokens + sum(map(len, batch))
        return texts, tokens


if __name__ == "__main__":
    raise SystemExit(converse(BareEngine))
