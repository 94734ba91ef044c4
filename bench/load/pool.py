"""A bounded number of links, opened when they are needed and used again."""

import asyncio
from collections.abc import Callable

from bench.load.answer import ReceivedAnswer
from bench.load.call import Call
from bench.load.link import Link, connect

# Services close connections that idle for a minute or so; a request must not meet that moment.
_STALE_S = 4.0

Done = Callable[[Call, ReceivedAnswer | None], None]


class Pool:
    """Sends requests; `done` gets each of them back with its answer, or with None where the connection failed."""

    def __init__(self, port: int, most: int, done: Done) -> None:
        self.highest = 0
        self._port, self._most, self._done = port, most, done
        self._links: set[Link] = set()
        self._free: list[Link] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def send(self, call: Call) -> bool:
        """Send on a free link or a new one; False where there may be no more."""
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
        """End all connections; what is under way is never reported."""
        self._done = lambda _call, _answer: None
        for opening in tuple(self._opening):
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for link in tuple(self._links):
            link.close()
        while self._links:
            await asyncio.sleep(0.001)

    def answered(self, link: Link, call: Call, answer: ReceivedAnswer) -> None:
        """A link is free again."""
        self._free.append(link)
        self._done(call, answer)

    def lost(self, link: Link, call: Call | None) -> None:
        """A link is gone."""
        self._links.discard(link)
        if call is None:
            if link in self._free:
                self._free.remove(link)
        else:
            self._done(call, None)

    def _fresh(self) -> Link | None:
        """The link used last; one that idled for long is closed, and with it all that idled longer."""
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
