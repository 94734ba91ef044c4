"""Hold idle keep-alive connections open."""

import asyncio

from bench.load.answer import ReceivedAnswer
from bench.load.call import Call, get
from bench.load.link import Link, connect

_WAVE = 100
_TIMEOUT_S = 30.0


class Crowd:
    """Idle keep-alive connections to one service."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._links: list[Link] = []
        self._answers: dict[Link, asyncio.Future[None]] = {}

    async def gather(self, count: int) -> None:
        """Open up to `count` connections; those that fail are skipped.

        Each sends GET /health once, because servers may close connections that never sent a request.
        """
        async with asyncio.timeout(_TIMEOUT_S):
            for start in range(0, count, _WAVE):
                wave = range(min(_WAVE, count - start))
                await asyncio.gather(*(self._join() for _ in wave), return_exceptions=True)

    @property
    def open(self) -> int:
        """Number of open connections."""
        return sum(link.open for link in self._links)

    def close(self) -> None:
        """Close all connections."""
        for link in self._links:
            link.close()

    def answered(self, link: Link, _call: Call, _answer: ReceivedAnswer) -> None:
        """Mark a connection's only request as answered."""
        self._answers.pop(link).set_result(None)

    def lost(self, link: Link, call: Call | None) -> None:
        """Fail the pending request of a closed connection."""
        if call is not None:
            self._answers.pop(link).set_exception(ConnectionError("no answer"))

    async def _join(self) -> None:
        link = await connect(self._port, self)
        self._links.append(link)
        answer = self._answers[link] = asyncio.get_running_loop().create_future()
        link.ask(Call(get("/health"), 0, 0.0))
        await answer
