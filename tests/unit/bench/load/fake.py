"""A scripted service on a real socket, in the test's event loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.unit.until import until


@dataclass
class Fake:
    """Responds with the status `answer(body)`; None disconnects, a number below 1 delays a 200 by that many seconds."""

    answer: Callable[[str], int | float | None] = lambda _body: 200
    port: int = 0
    bodies: list[str] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_at_once: int = 0
    at_once: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self.open += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0] or 0)
        body = (await reader.readexactly(length)).decode()
        self.bodies.append(body)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        status = self.answer(body)
        if status is not None and status < 1:
            await asyncio.sleep(status)
            status = 200
        self.at_once -= 1
        if status is None:
            return False
        said = json.dumps({"embedding": [0.5] * 8})
        more = "retry-after: 1\r\n" if status == 429 else "x-compute-tokens: 5\r\n"
        writer.write(f"HTTP/1.1 {status} Said\r\n{more}content-length: {len(said)}\r\n\r\n{said}".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def serving(answer: Callable[[str], int | float | None] = lambda _body: 200) -> AsyncIterator[Fake]:
    """Serve during the block; clients must have disconnected by its end."""
    fake = Fake(answer)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        await until(lambda: not fake.open)
