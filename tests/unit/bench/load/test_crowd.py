import asyncio
import itertools

from bench.load.crowd import Crowd
from tests.unit.bench.load.fake import serving


async def test_a_crowd_asks_once_and_stays() -> None:
    async with serving() as fake:
        crowd = Crowd(fake.port)
        await crowd.gather(150)
        assert (crowd.open, fake.open, len(fake.bodies)) == (150, 150, 150)
        crowd.close()
        await asyncio.sleep(0.05)
        assert crowd.open == 0


async def test_those_who_are_sent_away_are_not_counted() -> None:
    answers = itertools.cycle([200, None])

    async with serving(lambda _body: next(answers)) as fake:
        crowd = Crowd(fake.port)
        await crowd.gather(10)
        await asyncio.sleep(0.05)
        assert crowd.open == fake.open == 5
        crowd.close()
