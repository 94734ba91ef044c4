"""Open-loop and closed-loop load generators."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.load.answer import ReceivedAnswer
from bench.load.call import ONE, Call, Dialect, request
from bench.load.figures import Figures
from bench.load.pool import Pool
from bench.load.tally import Tally

# If the client falls this far behind schedule, it drops the request as unsent.
LATE_S = 1.0
# Closed-loop clients back off after a failure, so that they do not retry in a tight loop.
_PAUSE_S = 0.05
_POLL_S = 0.01
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
    return await (OpenLoop if load.rate else ClosedLoop)(load, port, next_text).run()


class _Loop:
    """Common part of both loops: window, connection pool and tally."""

    def __init__(self, load: LoadScenario, port: int, next_text: Callable[[], str]) -> None:
        self._load, self._next_text = load, next_text
        self._clock = asyncio.get_running_loop().time
        self._start = self._clock()
        self._end = self._start + load.warm_s + load.seconds
        self._tally = Tally(self._start + load.warm_s, self._end)
        self._pool = Pool(port, load.clients or load.connections, self._done)
        self._under_way = 0

    async def run(self) -> Figures:
        """Start, wait for the end of the window, drain, and return the figures."""
        try:
            self._begin()
            await asyncio.sleep(self._end - self._clock())
            while self._under_way and self._clock() < self._end + self._load.drain_s:
                await asyncio.sleep(_POLL_S)
            self._tally.connections = self._pool.highest
            return self._tally.figures()
        finally:
            await self._pool.close()

    def _begin(self) -> None:
        raise NotImplementedError

    def _launch(self, planned: float) -> None:
        load = self._load
        texts = [self._next_text() for _ in range(load.texts)]
        leaves = bool(load.patience_s) and not load.announced
        sent = request(load.dialect, texts, load.patience_s if load.announced else 0.0)
        call = Call(sent, len(texts), planned, patience_s=load.patience_s, leaves=leaves)
        self._tally.plan(call)
        if self._clock() - planned < LATE_S and self._pool.send(call):
            self._under_way += 1
        else:
            self._tally.miss(call)

    def _done(self, call: Call, answer: ReceivedAnswer | None) -> None:
        self._under_way -= 1
        if answer is None:
            self._tally.lose(call)
        else:
            self._tally.answer(call, answer, self._clock())


class OpenLoop(_Loop):
    """Sends requests on schedule, independent of earlier responses; overdue ones at once."""

    def _begin(self) -> None:
        load = self._load
        self._due = arrivals(load.rate, load.warm_s + load.seconds, load.seed)
        self._timer = asyncio.get_running_loop().call_at
        self._wait_for(next(self._due, None))

    def _wait_for(self, due: float | None) -> None:
        if due is not None:
            self._timer(max(self._start + due, self._clock() + _TICK_S), self._pump, due)

    def _pump(self, due: float | None) -> None:
        while due is not None and self._start + due <= self._clock():
            self._launch(self._start + due)
            due = next(self._due, None)
        self._wait_for(due)


class ClosedLoop(_Loop):
    """Each client sends its next request after the response to its last."""

    def _begin(self) -> None:
        for _ in range(self._load.clients):
            self._launch(self._clock())

    def _done(self, call: Call, answer: ReceivedAnswer | None) -> None:
        super()._done(call, answer)
        if answer is not None and answer.good:
            self._again()
        else:
            asyncio.get_running_loop().call_later(_PAUSE_S, self._again)

    def _again(self) -> None:
        if self._clock() < self._end:
            self._launch(self._clock())
