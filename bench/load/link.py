"""One keep-alive connection with at most one request under way."""

import asyncio
from typing import Protocol, cast

from bench.load.answer import AnswerError, Parser, ReceivedAnswer
from bench.load.call import HOST, Call


class Owner(Protocol):
    """Who is told what becomes of a link."""

    def answered(self, link: "Link", call: Call, answer: ReceivedAnswer) -> None:
        """An answer is complete; the link is free."""
        ...

    def lost(self, link: "Link", call: Call | None) -> None:
        """The connection ended, and with it the request that was under way, if there was one."""
        ...


class Link(asyncio.Protocol):
    """Sends a request, reads its answer, tells its owner."""

    def __init__(self, owner: Owner) -> None:
        self.open = False
        self.idle_since = 0.0
        self._owner = owner
        self._parser = Parser()
        self._call: Call | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def ask(self, call: Call) -> None:
        """Send; the link must be free."""
        self._call = call
        call.sent = self._loop.time()
        self._transport.write(call.request)
        if call.leaves:
            self._leaving = self._loop.call_at(call.planned + call.patience_s, self.close)

    def close(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast(asyncio.WriteTransport, transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        """Part of an answer arrives."""
        try:
            answer = self._parser.feed(data)
        except AnswerError:
            self.close()
            return
        if answer is None:
            return
        call = self._end()
        if call is None:
            self.close()
            return
        self.idle_since = self._loop.time()
        self._owner.answered(self, call, answer)

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection ended."""
        self.open = False
        self._owner.lost(self, self._end())

    def _end(self) -> Call | None:
        if self._leaving:
            self._leaving.cancel()
        call, self._call, self._leaving = self._call, None, None
        return call


async def connect(port: int, owner: Owner) -> Link:
    """Open a link to a service on this machine.

    Raises:
        OSError: nobody listens there, or there are no more file descriptors.
    """
    _, link = await asyncio.get_running_loop().create_connection(lambda: Link(owner), HOST, port)
    return link
