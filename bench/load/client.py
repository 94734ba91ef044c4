"""`python -m bench.load.client`: the load generator process; see `bench.conversation`.

It competes for CPU with the service, so it does little work: requests are joined from prepared parts, response bodies
are not parsed as JSON.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import msgspec
import uvloop

from bench.conversation import Answer, converse
from bench.load import load
from bench.load.call import HEALTH, request
from bench.load.connection import ClientConnection
from bench.load.corpus import Corpus
from bench.load.figures import Figures
from bench.load.load import LoadScenario
from server.system.process import raise_file_limit

# Idle connections opened concurrently, and the time limit for all of them.
_AT_ONCE = 100
_OPEN_S = 30.0


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

    async def _run(self, port: int, loads: list[LoadScenario], count: int) -> tuple[list[Figures], int]:
        idle = await open_idle(port, count)
        try:
            running = [load.run(one, port, self._texts[one.corpus].__next__) for one in loads]
            return await asyncio.gather(*running), sum(connection.open for connection in idle)
        finally:
            for connection in idle:
                connection.close()


async def open_idle(port: int, count: int) -> list[ClientConnection]:
    """Open up to `count` idle connections; those that fail are left out.

    Each sends GET /health once, because servers may close connections that never sent a request.
    """

    opened: list[ClientConnection] = []

    async def open_one() -> None:
        connection = await ClientConnection.to(port)
        await connection.ask(request(HEALTH))
        opened.append(connection)

    try:
        async with asyncio.timeout(_OPEN_S):
            for start in range(0, count, _AT_ONCE):
                some = (open_one() for _ in range(min(_AT_ONCE, count - start)))
                await asyncio.gather(*some, return_exceptions=True)
    except TimeoutError:
        for connection in opened:
            connection.close()
        raise
    return opened


def _texts(corpus: Corpus) -> Iterator[str]:
    number = 0
    while True:
        yield corpus.text(number)
        number += 1


if __name__ == "__main__":
    raise_file_limit()
    raise SystemExit(converse(Client))
