"""A keep-alive connection with at most one request in flight."""

import asyncio
from typing import Protocol, cast

from bench.load.answer import AnswerError, Parser, ReceivedAnswer
from bench.load.call import HOST, Call


class Owner(Protocol):
    """Receives a link's events."""

    def answered(self, link: "Link", call: Call, answer: ReceivedAnswer) -> None:
        """Handle a complete response; the link is free."""
        ...

    def lost(self, link: "Link", call: Call | None) -> None:
        """Handle a closed connection and the request that was in flight, if any."""
        ...


class Link(asyncio.Protocol):
    """Sends requests, parses responses, notifies the owner."""

    def __init__(self, owner: Owner) -> None:
        self.open = False
        self.idle_since = 0.0
        self._owner = owner
        self._parser = Parser()
        self._call: Call | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def ask(self, call: Call) -> None:
        """Send a request; the link must be free."""
        self._call = call
        call.sent = self._loop.time()
        self._transport.write(call.request)
        if call.leaves:
            self._leaving = self._loop.call_at(call.planned + call.patience_s, self._leave, call)

    def close(self) -> None:
        """Abort the connection."""
        self._transport.abort()

    def _leave(self, call: Call) -> None:
        call.left = True
        self.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Mark the link as open."""
        self._transport = cast(asyncio.WriteTransport, transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        """Parse response bytes; notify the owner of a complete response."""
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
        """Notify the owner."""
        self.open = False
        self._owner.lost(self, self._end())

    def _end(self) -> Call | None:
        if self._leaving:
            self._leaving.cancel()
        call, self._call, self._leaving = self._call, None, None
        return call


async def connect(port: int, owner: Owner) -> Link:
    """Connect to a service on this machine.

    Raises:
        OSError: connection refused, or out of file descriptors.
    """
    _, link = await asyncio.get_running_loop().create_connection(lambda: Link(owner), HOST, port)
    return link
