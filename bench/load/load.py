"""Open-loop and closed-loop load generators."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass

from bench.load.call import ONE, Dialect, request
from bench.load.connection import Pool
from bench.load.figures import Figures
from bench.load.tally import Call, Tally

# If the client falls this far behind schedule, it drops the request as unsent.
LATE_S = 1.0
# Closed-loop clients back off after a failure, so that they do not retry in a tight loop.
_PAUSE_S = 0.05
# uvloop's timers have millisecond resolution; for shorter delays it would busy-wait on a core that the server needs.
_TICK_S = 0.001


@dataclass(frozen=True)
class LoadScenario:
    """What one load sends, and for how long.

    `corpus` names the texts; each request has `texts` of them. Set either `rate` (open loop: requests a second, Poisson
    arrivals with `seed`) or `clients` (closed loop). The load starts after `delay_s`, warms up for `warm_s`, is
    measured for `seconds`, and then waits up to `drain_s` for responses. `connections` limits the open loop's.
    `patience_s` is the callers' timeout (0: none): `announced` in a header, or else callers disconnect.
    """

    corpus: str
    seconds: float
    warm_s: float = 1.0
    drain_s: float = 90.0
    delay_s: float = 0.0
    texts: int = 1
    rate: float = 0.0
    clients: int = 0
    seed: int = 1
    connections: int = 9500
    dialect: Dialect = ONE
    patience_s: float = 0.0
    announced: bool = False


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield the arrival times, in seconds, of a Poisson process of `rate` a second; deterministic for a seed."""
    source = random.Random(seed)  # noqa: S311 - not security-relevant
    due = source.expovariate(rate)
    while due < seconds:
        yield due
        due += source.expovariate(rate)


async def run(load: LoadScenario, port: int, next_text: Callable[[], str]) -> Figures:
    """Run one load on a service after its delay and return its figures."""
    await asyncio.sleep(load.delay_s)
    return await _Load(load, port, next_text).run()


class _Load:
    """One load: its window, connections, tally and requests under way."""

    def __init__(self, load: LoadScenario, port: int, next_text: Callable[[], str]) -> None:
        self._load, self._next_text = load, next_text
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._start = self._clock()
        self._end = self._start + load.warm_s + load.seconds
        self._tally = Tally(self._start + load.warm_s, self._end)
        self._pool = Pool(port)
        self._under_way: set[asyncio.Task[object]] = set()

    async def run(self) -> Figures:
        """Start, wait for the end of the window, drain, and return the figures."""
        try:
            if self._load.rate:
                await self._send_on_schedule()
            for _ in range(self._load.clients):
                self._launch(self._repeat())
            await asyncio.sleep(self._end - self._clock())
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._end + self._load.drain_s - self._clock())
            return self._tally.figures()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            self._pool.close()

    def _launch(self, work: Coroutine[object, object, object]) -> None:
        task = self._loop.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send_on_schedule(self) -> None:
        """Open loop: send at the scheduled times, independent of earlier responses; overdue requests at once."""
        load = self._load
        for due in arrivals(load.rate, load.warm_s + load.seconds, load.seed):
            planned = self._start + due
            if planned > self._clock():
                await asyncio.sleep(max(planned - self._clock(), _TICK_S))
            call = self._call(planned)
            if self._clock() - planned < LATE_S and len(self._under_way) < load.connections:
                self._launch(self._send(call))
            else:
                self._tally.miss(call)

    async def _repeat(self) -> None:
        """Closed loop: one client, which sends its next request after the response to its last."""
        while self._clock() < self._end:
            if not await self._send(self._call(self._clock())):
                await asyncio.sleep(_PAUSE_S)

    def _call(self, planned: float) -> Call:
        call = Call(planned, self._load.texts, self._load.patience_s)
        self._tally.plan(call)
        return call

    async def _send(self, call: Call) -> bool:
        """Send one request and count its outcome; return whether it succeeded."""
        load = self._load
        texts = [self._next_text() for _ in range(load.texts)]
        content = request(load.dialect, texts, load.patience_s if load.announced else 0.0)
        leaves_at = call.planned + load.patience_s if load.patience_s and not load.announced else None
        call.sent = self._clock()
        try:
            async with asyncio.timeout_at(leaves_at):
                answer = await self._pool.ask(content)
        except TimeoutError:
            self._tally.leave(call)
        except OSError:
            self._tally.lose(call)
        else:
            self._tally.answer(call, answer, self._clock())
            return answer.status == 200
        return False
