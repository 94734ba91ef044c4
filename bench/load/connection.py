"""Keep-alive connections to a service, with one request at a time on each; httptools parses the responses."""

import asyncio
from dataclasses import dataclass
from typing import Self, cast

import httptools

from bench.load.call import HOST

# Do not reuse a connection idle for longer: the service may be closing it.
_STALE_S = 4.0


@dataclass(slots=True)
class ServiceAnswer:
    """A response; of its body the `size` in bytes is kept. `tokens` is the value of `x-compute-tokens`, or 0."""

    status: int = 0
    tokens: int = 0
    size: int = 0
    retry_after: bool = False


class ClientConnection(asyncio.Protocol):
    """Sends requests and parses responses; closes on anything that is no response to its request."""

    def __init__(self) -> None:
        self.open = False
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[ServiceAnswer] | None = None
        self._answer = ServiceAnswer()

    @classmethod
    async def to(cls, port: int) -> Self:
        """Connect to a service on this machine.

        Raises:
            OSError: connection refused, or out of file descriptors.
        """
        _, connection = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        return connection

    async def ask(self, request: bytes) -> ServiceAnswer:
        """Send a request and return its response; the connection must be free, and is closed if there is none.

        Raises:
            ConnectionError: the connection ended before the response, or it was invalid.
        """
        self._answer = ServiceAnswer()
        self._waiting = self._loop.create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Abort the connection."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Mark the connection as open."""
        self._transport = cast(asyncio.WriteTransport, transport)
        self.open = True

    def connection_lost(self, _error: Exception | None) -> None:
        """Fail the request in flight, if any."""
        self.open = False
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the connection ended before the response"))

    def data_received(self, data: bytes) -> None:
        """Parse response bytes."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers that are counted."""
        lowered = name.lower()
        if lowered == b"x-compute-tokens":
            self._answer.tokens = int(value)
        elif lowered == b"retry-after":
            self._answer.retry_after = True

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._answer.size += len(body)

    def on_message_complete(self) -> None:
        """Return the response to its caller."""
        self._answer.status = self._parser.get_status_code()
        if not self._waiting or self._waiting.done():
            self.close()
            return
        self.idle_since = self._loop.time()
        self._waiting.set_result(self._answer)


class Pool:
    """Connections to one service; opens one if none is free."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[ClientConnection] = []

    async def ask(self, request: bytes) -> ServiceAnswer:
        """Send a request on the most recently used free connection, or on a new one, and return its response.

        Raises:
            OSError: the service cannot be reached, or the connection ended before the response.
        """
        connection = self._fresh() or await ClientConnection.to(self._port)
        answer = await connection.ask(request)
        self._free.append(connection)
        return answer

    def close(self) -> None:
        """Close the free connections."""
        for connection in self._free:
            connection.close()
        self._free.clear()

    def _fresh(self) -> ClientConnection | None:
        """Return the most recently used connection; if it is stale, close all free ones."""
        while self._free:
            connection = self._free.pop()
            if connection.open and asyncio.get_running_loop().time() - connection.idle_since < _STALE_S:
                return connection
            connection.close()
        return None
