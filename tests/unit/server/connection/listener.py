"""A listening server with configurable bounds, and a scriptable application."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from server.api.error_answer import to_response
from server.connection.bounds import ConnectionBounds
from server.connection.connection_limit import ConnectionLimit
from server.connection.http_connection import Connection
from server.connection.http_protocol import bounded
from server.errors import ServiceError
from server.serving_state import ServingState
from server.system.memory import Memory

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n"
SOON_S = 0.2


@dataclass
class App:
    """Answers with the path and the length of the body once `gate` is open; counts disconnects."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    answer: bytes = b""
    gone: int = 0
    scopes: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            body, more = body + message["body"], message["more_body"]
        await self.gate.wait()
        answer = self.answer or f"{scope['path']} {len(body)}".encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


@dataclass
class Listener:
    """A listening server without uvicorn's main loop, with a client."""

    app: App
    bounds: ConnectionBounds
    state: ServerState
    port: int
    refused: list[ServiceError]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, sent: bytes) -> bytes:
        """Send, and read until EOF."""
        reader, writer = await self.connect()
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def listening(keep_alive_s: float = 10, **changes: object) -> AsyncIterator[Listener]:
    refused: list[ServiceError] = []
    memory = Memory(int(str(changes.pop("memory", 100_000_000))))
    connections = ConnectionLimit(int(str(changes.pop("max_connections", 50))), lambda _use: None)
    limits = {"max_header_bytes": 2000, "max_wire_bytes": 10_000, "receive_timeout_s": 10.0}
    told = {"refused": refused.append, "answer": to_response}
    shared = {"connections": connections, "memory": memory, "state": ServingState(), **told}
    bounds = ConnectionBounds(**limits | changes | shared)  # type: ignore[arg-type]
    app, state = App(), ServerState()
    app.gate.set()
    config = Config(app, http=bounded(bounds), timeout_keep_alive=keep_alive_s, log_config=None)  # type: ignore[arg-type]
    config.load()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: bounded(bounds)(config, state, {}), "127.0.0.1", 0)
    async with listener:
        yield Listener(app, bounds, state, listener.sockets[0].getsockname()[1], refused)
        for connection in list(state.connections):
            assert isinstance(connection, Connection)
            connection.shutdown()
        await asyncio.sleep(0)


def statuses(said: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]
