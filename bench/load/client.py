"""`python -m bench.load.client`: the load generator process; see `bench.conversation`.

It competes for CPU with the service, so it does little work: requests are joined from prepared parts, response bodies
are counted and not parsed.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import msgspec
import uvloop

from bench.conversation import Answer, converse
from bench.load import files, load
from bench.load.corpus import Corpus
from bench.load.crowd import Crowd
from bench.load.figures import Figures
from bench.load.load import LoadScenario


class Client:
    """Request handlers; keeps an iterator over each corpus's texts."""

    def __init__(self) -> None:
        self._texts: dict[str, Iterator[str]] = {}

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """Operations by name."""
        return {"learn": self.learn, "run": self.run}

    def learn(self, corpora: dict[str, Any]) -> Answer:
        """Register corpora by name; each text is sent once."""
        for name, plain in corpora.items():
            self._texts[name] = _texts(msgspec.convert(plain, Corpus))
        return {}

    def run(self, port: int, loads: list[dict[str, Any]], idle: int) -> Answer:
        """Run all loads concurrently, with `idle` idle connections open.

        Returns the figures of each load, this process's CPU seconds, the elapsed seconds, and how many idle connections
        were open at the end.
        """
        started, used = time.monotonic(), time.process_time()
        figures, held = uvloop.run(self._run(port, msgspec.convert(loads, list[LoadScenario]), idle))
        return {
            "loads": [asdict(one) for one in figures],
            "cpu_s": time.process_time() - used,
            "seconds": time.monotonic() - started,
            "idle": held,
        }

    async def _run(self, port: int, loads: list[LoadScenario], idle: int) -> tuple[list[Figures], int]:
        crowd = Crowd(port)
        try:
            await crowd.gather(idle)
            running = [load.run(one, port, self._texts[one.corpus].__next__) for one in loads]
            return await asyncio.gather(*running), crowd.open
        finally:
            crowd.close()


def _texts(corpus: Corpus) -> Iterator[str]:
    number = 0
    while True:
        yield corpus.text(number)
        number += 1


if __name__ == "__main__":
    files.raise_limit()
    raise SystemExit(converse(Client))
