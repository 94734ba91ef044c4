"""Twice as many requests as can be answered: the server goes on at full speed and refuses the rest at once.

Client and server share the machine, so the capacity is measured with as many requests a second refused beside it (by
their headers, as those for which the queue has no room): what they cost is in both, and the ratio says what the server
does. Capacity and flood take turns, so that a drift of the machine cancels.
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import progress
from bench.load import usage
from bench.load.call import REFUSED
from bench.load.caller import Caller
from bench.load.figures import Figures
from bench.load.finding import Finding, answers
from bench.load.load import LoadScenario
from bench.load.service import LoadedService
from bench.load.stage import MIXED, Stage
from bench.load.verdict import Verdict, flat_memory, milliseconds, percent, refused_well
from bench.table import Table, mega, number

FACTOR = 2.0
GOODPUT = 0.95
REFUSAL_S = 0.010
# The queue must be full before counting begins; it fills at about the speed at which it is emptied.
_FILL = 1.5


@dataclass(frozen=True)
class OverloadMeasured:
    """The closed loop by itself; beside refusals, before, between and after the floods; and the floods.

    `resident` is the server's memory in bytes during all floods.
    """

    alone: Figures
    capacities: list[Figures]
    floods: list[Figures]
    resident: list[int]

    @property
    def goodput(self) -> tuple[float, float]:
        """What the floods left of the capacity, in texts and in tokens, which differ where short texts are favoured."""
        texts = _shares([one.texts_per_s for one in self.floods], [one.texts_per_s for one in self.capacities])
        tokens = _shares([one.tokens_per_s for one in self.floods], [one.tokens_per_s for one in self.capacities])
        return texts, tokens


def run(stage: Stage) -> Finding:
    """Measure the capacity, and in turns the capacity beside refusals and twice the capacity."""
    with _server(stage) as service, stage.caller() as caller:
        with progress.step("overload: capacity"):
            alone = stage.capacity(caller, service).loads[0]
        found = _floods(stage, caller, service, alone)
    loads = {"alone": alone, "beside refusals": found.capacities[-1], "overload": found.floods[-1]}
    asked = FACTOR * alone.texts_per_s
    title = f"{asked:,.0f} requests/s on a server that answers {alone.texts_per_s:,.0f}; last of {len(found.floods)}"
    latency = found.floods[-1].latency
    return Finding(judge(found), [answers(title, loads), _memory(found)], _raw(found), {"": latency})


def flood(alone: Figures, seconds: float, queue: int) -> LoadScenario:
    """Plan twice the capacity; counting begins once a queue of that many tokens is full."""
    fill_s = _FILL * queue / alone.tokens_per_s if alone.tokens_per_s else 0.0
    return LoadScenario(MIXED, seconds, warm_s=1.0 + fill_s, rate=FACTOR * alone.texts_per_s)


def judge(found: OverloadMeasured) -> list[Verdict]:
    """Decide on goodput by the median of the rounds, on how the rest was refused, and on memory."""
    texts, tokens = found.goodput
    plain = statistics.median(one.texts_per_s for one in found.floods) / found.alone.texts_per_s
    return [
        Verdict(
            f"goodput at least {percent(GOODPUT, 0)} of capacity beside as many refusals",
            f"{percent(texts)} in texts, {percent(tokens)} in tokens; {percent(plain)} of capacity without refusals",
            min(texts, tokens) >= GOODPUT,
        ),
        min((refused_well(one) for one in found.floods), key=lambda verdict: verdict.met),
        min((_quick(one) for one in found.floods), key=lambda verdict: verdict.met),
        flat_memory(found.resident),
    ]


def _shares(floods: Sequence[float], capacities: Sequence[float]) -> float:
    """The median of each flood's rate over the mean of the capacities before and after it; 0 where there were none."""
    around = [statistics.mean(pair) for pair in itertools.pairwise(capacities)]
    return statistics.median(rate / most if most else 0.0 for rate, most in zip(floods, around, strict=True))


def _floods(stage: Stage, caller: Caller, service: LoadedService, alone: Figures) -> OverloadMeasured:
    pace = stage.pace
    load = flood(alone, pace.overload_s / pace.rounds, _queue_tokens(service.info()))
    found = OverloadMeasured(alone, [_beside_refusals(stage, caller, service, alone)], [], [])
    for round_ in range(pace.rounds):
        with progress.step(f"overload: {load.rate:,.0f} requests a second, round {round_ + 1} of {pace.rounds}"):
            flooded, resident = _watched(caller, service, load)
        found.floods.append(flooded)
        found.resident.extend(resident)
        found.capacities.append(_beside_refusals(stage, caller, service, alone))
    return found


def _beside_refusals(stage: Stage, caller: Caller, service: LoadedService, alone: Figures) -> Figures:
    """The capacity while as many requests a second as it answers by itself are refused."""
    pace, rate = stage.pace, (FACTOR - 1) * alone.texts_per_s
    refused = LoadScenario(MIXED, pace.seconds, pace.warm_s, rate=rate, dialect=REFUSED)
    with progress.step(f"overload: capacity beside {rate:,.0f} refusals a second"):
        return stage.capacity(caller, service, refused).loads[0]


def _quick(flooded: Figures) -> Verdict:
    """Refusals as the client sees them: its own lateness and the wait for a core are in it."""
    slowest = max((refusal.latency.p99 for refusal in flooded.refused), default=0.0)
    count = sum(refusal.count for refusal in flooded.refused)
    said = f"{milliseconds(slowest)} at the client, {milliseconds(flooded.late_p99)} of it before sending"
    asked = f"refusals within {milliseconds(REFUSAL_S)} at p99"
    return Verdict(asked, said if count else "nothing was refused", bool(count) and slowest < REFUSAL_S)


def _server(stage: Stage) -> LoadedService:
    tokens = stage.pace.queue_tokens
    return stage.serve(**({"MAX_QUEUE_TOKENS": str(tokens)} if tokens else {}))


def _queue_tokens(info: Mapping[str, Any]) -> int:
    """How many tokens may wait in a server, by its GET /info."""
    held: int = info["limits"]["queue_tokens"]
    return held


def _watched(caller: Caller, service: LoadedService, load: LoadScenario) -> tuple[Figures, list[int]]:
    with usage.watch(service.pid, load.warm_s, load.seconds) as track:
        figures = caller.run(service, load).loads[0]
    return figures, track.resident


def _memory(found: OverloadMeasured) -> Table:
    samples = found.resident or [0]
    row = ["server", mega(samples[0]), mega(max(samples)), mega(samples[-1]), number(len(samples))]
    return Table("Resident memory under overload", ("", "MB at first", "MB at most", "MB at last", "samples"), [row])


def _raw(found: OverloadMeasured) -> dict[str, Any]:
    return asdict(found) | {"goodput": found.goodput}
