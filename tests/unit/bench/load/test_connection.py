import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bench.load import client, connection
from bench.load.call import ONE, request
from bench.load.connection import ClientConnection, Pool, ServiceAnswer
from tests.unit.bench.load.fake import serving

ASKED = request(ONE, ["text"])
GOOD = b"HTTP/1.1 200 OK\r\nX-Compute-Tokens: 17\r\nContent-Type: application/json\r\ncontent-length: 4\r\n\r\n[.5]"
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 2\r\n\r\n{}"


@asynccontextmanager
async def answering(answer: bytes, size: int = 1000) -> AsyncIterator[ClientConnection]:
    """Connect to a service that sends `answer` in pieces of `size` bytes to every request."""

    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(1000):
                for start in range(0, len(answer), size):
                    writer.write(answer[start : start + size])
                    await writer.drain()
        writer.transport.abort()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        opened = await ClientConnection.to(server.sockets[0].getsockname()[1])
        yield opened
        opened.close()
        await ended.wait()


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_an_answer_is_read_in_pieces_of_any_size(size: int) -> None:
    async with answering(GOOD, size) as opened:
        for _ in range(2):  # twice on one connection
            assert await opened.ask(ASKED) == ServiceAnswer(200, 17, 4, retry_after=False)


async def test_a_refusal_says_when_to_come_again() -> None:
    async with answering(REFUSED) as opened:
        assert await opened.ask(ASKED) == ServiceAnswer(429, 0, 2, retry_after=True)


async def test_an_answer_without_a_body_is_read() -> None:
    async with answering(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n") as opened:
        for _ in range(2):
            assert await opened.ask(ASKED) == ServiceAnswer(503, 0, retry_after=False)


async def test_an_answer_longer_than_it_says_breaks_the_connection() -> None:
    async with answering(GOOD + b"more") as opened:
        assert await opened.ask(ASKED) == ServiceAnswer(200, 17, 4, retry_after=False)
        with pytest.raises(ConnectionError):
            await opened.ask(ASKED)
        assert not opened.open


async def test_what_is_no_http_breaks_the_connection() -> None:
    async with answering(b"SSH-2.0-OpenSSH\r\n\r\n") as opened:
        with pytest.raises(ConnectionError):
            await opened.ask(ASKED)
        assert not opened.open


async def test_a_connection_that_idled_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may close idle connections, which must not fail a request."""
    async with serving() as fake:
        pool = Pool(fake.port)
        await pool.ask(ASKED)
        await pool.ask(ASKED)
        assert fake.connections == 1
        monkeypatch.setattr(connection, "_STALE_S", 0.0)
        await pool.ask(ASKED)
        assert fake.connections == 2
        pool.close()


async def test_idle_connections_ask_once_and_stay() -> None:
    async with serving() as fake:
        idle = await client.open_idle(fake.port, 150)
        assert (len(idle), fake.open, len(fake.bodies)) == (150, 150, 150)
        for one in idle:
            one.close()


async def test_idle_connections_that_cannot_all_be_opened_in_time_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_OPEN_S", 0.1)
    monkeypatch.setattr(client, "_AT_ONCE", 5)
    answers = iter([200] * 5 + [0.3] * 5)
    async with serving(lambda _body: next(answers)) as fake:
        with pytest.raises(TimeoutError):
            await client.open_idle(fake.port, 10)


async def test_idle_connections_that_the_service_closes_are_left_out() -> None:
    answers = iter([200, None] * 5)
    async with serving(lambda _body: next(answers)) as fake:
        idle = await client.open_idle(fake.port, 10)
        assert len(idle) == 5
        assert all(one.open for one in idle)
        for one in idle:
            one.close()
