import asyncio

import pytest

from bench.load import pool
from bench.load.answer import ReceivedAnswer
from bench.load.call import ONE, Call, post
from bench.load.pool import Pool
from tests.unit.bench.load.fake import serving


async def test_a_link_that_idled_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may close idle connections, which must not fail a request."""
    ended: list[ReceivedAnswer | None] = []

    async def ask(connections: Pool) -> None:
        before = len(ended)
        assert connections.send(Call(post(ONE, ["text"]), 1, 0.0))
        while len(ended) == before:
            await asyncio.sleep(0.001)

    async with serving() as fake:
        connections = Pool(fake.port, 1, lambda _call, answer: ended.append(answer))
        await ask(connections)
        await ask(connections)
        assert fake.connections == 1
        monkeypatch.setattr(pool, "_STALE_S", 0.0)
        await asyncio.sleep(0.01)
        await ask(connections)
        await connections.close()
        assert fake.connections == 2
    assert all(answer is not None and answer.good for answer in ended)
