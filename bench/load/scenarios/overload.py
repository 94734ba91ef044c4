"""Twice as many requests as can be answered: the server goes on at full speed and refuses the rest at once."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench import progress
from bench.load import usage
from bench.load.caller import Caller
from bench.load.figures import OK, REFUSALS, Figures
from bench.load.finding import Finding, answers
from bench.load.load import Load
from bench.load.service import Service
from bench.load.stage import MIXED, Stage
from bench.load.verdict import Verdict, flat_memory, milliseconds, percent
from bench.table import Table, mega, number

FACTOR = 2.0
GOODPUT = 0.95
REFUSAL_S = 0.010
# The queue must be full before counting begins; it fills at about the speed at which it is emptied.
_FILL = 1.5


@dataclass(frozen=True)
class Measured:
    """The closed loop before and after, the flood between them, and the server's memory in bytes meanwhile."""

    before: Figures
    flood: Figures
    after: Figures
    resident: list[int]

    @property
    def capacity(self) -> float:
        """Texts a second that the server can answer: before and after, so that a drift of the machine cancels."""
        return statistics.mean((self.before.texts_per_s, self.after.texts_per_s))

    @property
    def goodput(self) -> tuple[float, float]:
        """What the flood left of the capacity, in texts and in tokens, which differ where short texts are favoured."""
        tokens = statistics.mean((self.before.tokens_per_s, self.after.tokens_per_s))
        return self.flood.texts_per_s / self.capacity, self.flood.tokens_per_s / tokens if tokens else 0.0


def run(stage: Stage) -> Finding:
    """Measure the capacity, ask for twice of it, and measure it again."""
    with _server(stage) as service, stage.caller() as caller:
        with progress.step("overload: capacity"):
            before = stage.capacity(caller, service).loads[0]
        load = flood(before, stage.pace.overload_s, _queue_tokens(service.info()))
        with progress.step(f"overload: {load.rate:,.0f} requests a second"):
            flooded, resident = _watched(caller, service, load)
        with progress.step("overload: capacity again"):
            after = stage.capacity(caller, service).loads[0]
    found = Measured(before, flooded, after, resident)
    loads = {"capacity": before, "overload": flooded, "capacity after": after}
    title = f"{load.rate:,.0f} requests/s on a server that answers {found.capacity:,.0f}, for {load.seconds:g} s"
    return Finding(judge(found), [answers(title, loads), _memory(found)], _raw(found), {"": flooded.latency})


def flood(capacity: Figures, seconds: float, queue: int) -> Load:
    """Plan twice the capacity; counting begins once a queue of that many tokens is full."""
    fill_s = _FILL * queue / capacity.tokens_per_s if capacity.tokens_per_s else 0.0
    return Load(MIXED, seconds, warm_s=1.0 + fill_s, rate=FACTOR * capacity.texts_per_s)


def judge(found: Measured) -> list[Verdict]:
    """Decide on goodput, on how the rest was refused, and on memory."""
    flooded = found.flood
    texts, tokens = found.goodput
    silent = sum(refusal.count - refusal.retry_after for refusal in flooded.refused)
    return [
        Verdict(
            f"goodput at least {percent(GOODPUT, 0)} of capacity",
            f"{percent(texts)} in texts, {percent(tokens)} in tokens",
            min(texts, tokens) >= GOODPUT,
        ),
        Verdict(
            f"nothing but {OK} and {' or '.join(REFUSALS)} with Retry-After",
            f"{flooded.faults} others, {silent} refusals without, {flooded.unsent} unsent",
            not flooded.faults and not silent and not flooded.unsent,
        ),
        _quick(flooded),
        flat_memory(found.resident),
    ]


def _quick(flooded: Figures) -> Verdict:
    """Refusals as the client sees them: its own lateness and the wait for a core are in it."""
    slowest = max((refusal.latency.p99 for refusal in flooded.refused), default=0.0)
    count = sum(refusal.count for refusal in flooded.refused)
    said = f"{milliseconds(slowest)} at the client, {milliseconds(flooded.late_p99)} of it before sending"
    asked = f"refusals within {milliseconds(REFUSAL_S)} at p99"
    return Verdict(asked, said if count else "nothing was refused", bool(count) and slowest < REFUSAL_S)


def _server(stage: Stage) -> Service:
    tokens = stage.pace.queue_tokens
    return stage.serve(**({"MAX_QUEUE_TOKENS": str(tokens)} if tokens else {}))


def _queue_tokens(info: Mapping[str, Any]) -> int:
    """How many tokens may wait in a server, by its GET /info."""
    held: int = info["limits"]["queue_tokens"]
    return held


def _watched(caller: Caller, service: Service, load: Load) -> tuple[Figures, list[int]]:
    with usage.watch(service.pid, load.warm_s, load.seconds) as track:
        figures = caller.run(service, load).loads[0]
    return figures, track.resident


def _memory(found: Measured) -> Table:
    samples = found.resident or [0]
    row = ["server", mega(samples[0]), mega(max(samples)), mega(samples[-1]), number(len(samples))]
    return Table("Resident memory under overload", ("", "MB at first", "MB at most", "MB at last", "samples"), [row])


def _raw(found: Measured) -> dict[str, Any]:
    return asdict(found) | {"capacity": found.capacity}
