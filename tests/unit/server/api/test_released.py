"""An answered request leaves no reference cycles, which only the garbage collector would free."""

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from server.api.app import create_app
from server.api.error_answer import to_response
from server.connection.bounds import ConnectionBounds
from server.connection.connection_limit import ConnectionLimit, Use
from server.connection.http_protocol import bounded
from server.model.artifact import Artifact
from server.service.service import Service
from tests.unit.server.fakes import FakeEngine
from tests.unit.server.service.test_service import load, serving

PAD = b" " * 1_000_000
WHOLE = b'{"text": "a"' + PAD + b"}"
JSON = b"Content-Type: application/json"
KEY = b"Authorization: Bearer key"
RECEIVE_TIMEOUT_S = 0.3


def request(body: bytes = WHOLE, *headers: bytes, path: bytes = b"/embed", key: bytes = KEY) -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Host: x", b"Content-Length: %d" % len(body), key, *(headers or (JSON,))]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"POST /embed HTTP/1.1\r\nHost: x\r\n" + KEY + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERED = {
    "200": request(),
    "400, no JSON": request(WHOLE[:-1]),
    "400, no HTTP": b"GET HTTP\r\n\r\n" + PAD,
    "401": request(key=b"Authorization: Bearer other"),
    "404": request(path=b"/nothing"),
    "404, another model": request(b'{"input": "a", "model": "b"' + PAD + b"}", path=b"/v1/embeddings"),
    "405": request(path=b"/info"),
    "408, body": request()[:-1],
    "408, head": request()[:30],
    "413, texts": request(b'{"texts": [' + b", ".join([b'"a"'] * 2000) + b"]" + PAD + b"}"),
    "413, bytes": CHUNKED + (b"f4240\r\n" + PAD + b"\r\n") * 9,
    "414": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "415": request(WHOLE, b"Content-Type: text/plain"),
    "422, field": request(b'{"text": "a", "b": 1' + PAD + b"}"),
    "422, surrogate": request(b'{"text": "\\ud800"}'),
    "422, text": request(b'{"text": ""' + PAD + b"}"),
    "431": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
}


def ignore(_use: Use) -> None:
    """Ignore evictions."""


class ListeningService:
    """A service on a listening socket, and clients that send one request."""

    def __init__(self, service: Service, engine: FakeEngine, port: int) -> None:
        self.service, self.engine, self.port = service, engine, port

    async def status(self, sent: bytes) -> int:
        """Send, read the status and hang up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.transport.abort()
        return int(line.split()[1])

    async def hang_up(self, sent: bytes) -> None:
        """Send and hang up without reading."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent)
        await asyncio.sleep(0.2)
        writer.transport.abort()


Ask = Callable[[ListeningService], Awaitable[object]]


@asynccontextmanager
async def listening(artifact: Artifact) -> AsyncIterator[ListeningService]:
    engine = FakeEngine()
    service = serving(load(artifact, API_KEY="key", RECEIVE_TIMEOUT_S=str(RECEIVE_TIMEOUT_S)), engine)
    connections = ConnectionLimit(100, ignore)
    refused = service.metrics.refuse
    bounds = ConnectionBounds.of(service.settings, connections, service.memory, service.state, refused, to_response)
    protocol, state = bounded(bounds), ServerState()
    config = Config(create_app(service), http=protocol, log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield ListeningService(service, engine, listener.sockets[0].getsockname()[1])
    finally:
        engine.gate.set()
        listener.close()
        await service.close()


def left_over(artifact: Artifact, **asks: Ask) -> dict[str, list[str]]:
    """Return the types of the objects in cycles that each kind of request leaves, if any."""

    async def all_of_them(to: ListeningService) -> None:
        for ask in asks.values():
            await ask(to)

    async def main() -> dict[str, list[str]]:
        async with listening(artifact) as open_house:
            if not (together := await left_by(all_of_them, open_house)):
                return {}
            # Only then run them separately, which is slow.
            leaked = {kind: await left_by(ask, open_house) for kind, ask in asks.items()}
        return {kind: types for kind, types in leaked.items() if types} or {"together": together}

    return uvloop.run(main())


async def left_by(ask: Ask, open_house: ListeningService) -> list[str]:
    await ask(open_house)  # warm up caches
    await settled()
    with uncollected():
        for _ in range(2):
            await ask(open_house)
        await settled()
        gc.collect()
        return [type(thing).__name__ for thing in gc.garbage]


async def settled() -> None:
    await asyncio.sleep(RECEIVE_TIMEOUT_S)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep unreachable objects of the block in `gc.garbage`, and no earlier ones."""
    gc.collect()
    gc.freeze()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


def answered(kind: str) -> Ask:
    async def ask(to: ListeningService) -> None:
        assert await to.status(ANSWERED[kind]) == int(kind[:3])

    return ask


def test_an_answer_leaves_nothing_behind(artifact: Artifact) -> None:
    assert left_over(artifact, **{kind: answered(kind) for kind in ANSWERED}) == {}


def test_a_full_queue_a_deadline_and_a_defect_leave_nothing_behind(artifact: Artifact) -> None:
    async def full(to: ListeningService) -> None:
        with to.service._batcher.admit([10**9], math.inf), to.service._batcher.admit([10**9], math.inf):
            assert await to.status(request()) == 429

    async def late(to: ListeningService) -> None:
        to.engine.gate.clear()
        assert await to.status(request(WHOLE, JSON, b"x-request-timeout-ms: 100")) == 504
        to.engine.gate.set()

    async def failing(to: ListeningService) -> None:
        to.engine.error = RuntimeError("a defect")
        assert await to.status(request()) == 500

    assert left_over(artifact, full=full, late=late, failing=failing) == {}


def test_a_caller_who_hangs_up_leaves_nothing_behind(artifact: Artifact) -> None:
    def hanging_up(sent: bytes) -> Ask:
        async def ask(to: ListeningService) -> None:
            to.engine.gate.clear()
            await to.hang_up(sent)
            to.engine.gate.set()

        return ask

    asks = {"waiting": request(), "sending": request()[:-1], "ahead": 2 * request() + request()[:-1], "silent": b""}
    assert left_over(artifact, **{when: hanging_up(sent) for when, sent in asks.items()}) == {}
