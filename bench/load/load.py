"""The two kinds of load: arrivals that wait for nobody, and clients that wait for their answers."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.load.answer import ReceivedAnswer
from bench.load.call import ONE, Call, Dialect, request
from bench.load.figures import Figures
from bench.load.pool import Pool
from bench.load.tally import Tally

# An arrival that the client itself is this late for is not sent any more.
LATE_S = 1.0
# A client that was refused or lost its connection pauses, or it would do nothing but ask.
_PAUSE_S = 0.05
_POLL_S = 0.01
# uvloop's timers count in milliseconds: for what is nearer than one it would spin, on a core that the server needs.
_TICK_S = 0.001


@dataclass(frozen=True)
class LoadScenario:
    """What one load asks, and for how long.

    `corpus` names the texts, of which `texts` go into one request. Either `rate` (requests a second, Poisson by
    `seed`, the open loop) or `clients` (the closed loop) is set. It begins after `delay_s`, is counted after `warm_s`
    more, and lasts `seconds` from there; answers are awaited for `drain_s` more. `connections` bounds the open loop's.
    Callers wait for `patience_s` (0: for ever), which they have `announced` or else hang up.
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
    """Yield the seconds at which requests fall due: a Poisson process of `rate` a second, the same for one seed."""
    source = random.Random(seed)  # noqa: S311 - no secret hangs on it
    due = source.expovariate(rate)
    while due < seconds:
        yield due
        due += source.expovariate(rate)


async def run(load: LoadScenario, port: int, next_text: Callable[[], str]) -> Figures:
    """Put one load on a service, once its delay has passed, and count what becomes of it."""
    await asyncio.sleep(load.delay_s)
    return await (OpenLoop if load.rate else ClosedLoop)(load, port, next_text).run()


class _Loop:
    """What both kinds share: the window, the pool and the tally."""

    def __init__(self, load: LoadScenario, port: int, next_text: Callable[[], str]) -> None:
        self._load, self._next_text = load, next_text
        self._clock = asyncio.get_running_loop().time
        self._start = self._clock()
        self._end = self._start + load.warm_s + load.seconds
        self._tally = Tally(self._start + load.warm_s, self._end)
        self._pool = Pool(port, load.clients or load.connections, self._done)
        self._under_way = 0

    async def run(self) -> Figures:
        """Begin, wait for the end and for the answers, and sum up."""
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
            self._tally.lose(call, self._clock())
        else:
            self._tally.answer(call, answer, self._clock())


class OpenLoop(_Loop):
    """Requests leave when they are planned, whatever became of those before; late ones are sent at once."""

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
    """Each client sends its next request when the answer to its last is there."""

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
