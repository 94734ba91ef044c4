"""A bounded connection pool."""

import asyncio
from collections.abc import Callable

from bench.load.answer import ReceivedAnswer
from bench.load.call import Call
from bench.load.link import Link, connect

# Do not reuse a connection idle for longer: the service may be closing it.
_STALE_S = 4.0

Done = Callable[[Call, ReceivedAnswer | None], None]


class Pool:
    """Sends requests; calls `done` with each request and its response, or None if the connection failed."""

    def __init__(self, port: int, most: int, done: Done) -> None:
        self.highest = 0
        self._port, self._most, self._done = port, most, done
        self._links: set[Link] = set()
        self._free: list[Link] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def send(self, call: Call) -> bool:
        """Send on a free or new link; return False if the pool is exhausted."""
        if link := self._fresh():
            link.ask(call)
            return True
        count = len(self._links) + len(self._opening)
        if count >= self._most:
            return False
        self.highest = max(self.highest, count + 1)
        opening = self._loop.create_task(self._open(call))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    async def close(self) -> None:
        """Close all connections; requests in flight are not reported."""
        self._done = lambda _call, _answer: None
        for opening in tuple(self._opening):
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for link in tuple(self._links):
            link.close()
        while self._links:
            await asyncio.sleep(0.001)

    def answered(self, link: Link, call: Call, answer: ReceivedAnswer) -> None:
        """Return the link to the pool and report the response."""
        self._free.append(link)
        self._done(call, answer)

    def lost(self, link: Link, call: Call | None) -> None:
        """Remove the link; report its request, if any, as failed."""
        self._links.discard(link)
        if call is None:
            if link in self._free:
                self._free.remove(link)
        else:
            self._done(call, None)

    def _fresh(self) -> Link | None:
        """Return the most recently used link; if it is stale, close all free links."""
        if not self._free:
            return None
        link = self._free.pop()
        if self._loop.time() - link.idle_since < _STALE_S:
            return link
        for stale in (link, *self._free):
            self._links.discard(stale)
            stale.close()
        self._free.clear()
        return None

    async def _open(self, call: Call) -> None:
        try:
            link = await connect(self._port, self)
        except OSError:
            self._done(call, None)
            return
        self._links.add(link)
        link.ask(call)
