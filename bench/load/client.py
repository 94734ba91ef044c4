"""`python -m bench.load.client`: put loads on a service, as the parent asks; see `bench.conversation`.

It shares the machine with what it measures, so it does as little as it can: requests are joined from prepared pieces,
answers are counted, not read.
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
    """The texts it knows, and how many of each corpus it has sent."""

    def __init__(self) -> None:
        self._texts: dict[str, Iterator[str]] = {}

    @property
    def operations(self) -> Mapping[str, Callable[..., Answer]]:
        """What the parent can ask."""
        return {"learn": self.learn, "run": self.run}

    def learn(self, corpora: dict[str, Any]) -> Answer:
        """Remember texts by the name of their corpus; each is sent once."""
        for name, plain in corpora.items():
            self._texts[name] = _texts(msgspec.convert(plain, Corpus))
        return {}

    def run(self, port: int, loads: list[dict[str, Any]], idle: int) -> Answer:
        """Put all loads on the service at once, beside `idle` silent connections.

        The answer has the figures of each load, the seconds of CPU this process took, the seconds it lasted, and how
        many of the silent connections were open at the end.
        """
        started, used = time.monotonic(), time.process_time()
        figures, held = uvloop.run(self._run(port, msgspec.convert(loads, list[LoadScenario]), idle))
        return {
            "loads": [asdict(found) for found in figures],
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
