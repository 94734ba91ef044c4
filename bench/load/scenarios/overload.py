"""Admission control under overload: goodput and rejection latency at twice the capacity.

Client and server share the machine, so the baseline capacity is measured with as many rejected requests a second beside
it (rejected on their headers, as when the queue is full). The cost of rejections is then in both figures, and their
ratio shows the server's behaviour. Capacity and overload rounds are interleaved so that drift cancels.
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
from bench.load.verdict import LoadVerdict, flat_memory, milliseconds, percent, refused_well
from bench.table import Table, mega, number

FACTOR = 2.0
GOODPUT = 0.95
REFUSAL_S = 0.010
# The queue must be full when measurement starts. At twice the capacity it fills as fast as it drains.
_FILL = 1.5


@dataclass(frozen=True)
class OverloadMeasured:
    """Capacity alone; capacity beside rejections, before, between and after the overload rounds; and those rounds.

    `resident` has the samples of the server's memory, in bytes, during overload.
    """

    alone: Figures
    capacities: list[Figures]
    floods: list[Figures]
    resident: list[int]

    @property
    def goodput(self) -> tuple[float, float]:
        """Goodput as a share of capacity, in texts and in tokens, which differ if short texts are favoured."""
        texts = _shares([one.texts_per_s for one in self.floods], [one.texts_per_s for one in self.capacities])
        tokens = _shares([one.tokens_per_s for one in self.floods], [one.tokens_per_s for one in self.capacities])
        return texts, tokens


def run(stage: Stage) -> Finding:
    """Measure the capacity, then alternate capacity beside rejections and overload."""
    with _server(stage) as service, stage.caller() as caller:
        with progress.step("overload: capacity"):
            alone = stage.capacity(caller, service).loads[0]
        measured = _floods(stage, caller, service, alone)
    loads = {"alone": alone, "beside refusals": measured.capacities[-1], "overload": measured.floods[-1]}
    asked = FACTOR * alone.texts_per_s
    title = f"{asked:,.0f} requests/s on a server that answers {alone.texts_per_s:,.0f}; last of {len(measured.floods)}"
    return Finding(judge(measured), [answers(title, loads), _memory(measured)], _raw(measured))


def flood(alone: Figures, seconds: float, queue: int) -> LoadScenario:
    """Return a load of twice the capacity whose warm-up fills a queue of `queue` tokens."""
    fill_s = _FILL * queue / alone.tokens_per_s if alone.tokens_per_s else 0.0
    return LoadScenario(MIXED, seconds, warm_s=1.0 + fill_s, rate=FACTOR * alone.texts_per_s)


def judge(measured: OverloadMeasured) -> list[LoadVerdict]:
    """Judge median goodput, rejections and memory."""
    texts, tokens = measured.goodput
    plain = statistics.median(one.texts_per_s for one in measured.floods) / measured.alone.texts_per_s
    return [
        LoadVerdict(
            f"goodput at least {percent(GOODPUT, 0)} of capacity beside as many refusals",
            f"{percent(texts)} in texts, {percent(tokens)} in tokens; {percent(plain)} of capacity without refusals",
            min(texts, tokens) >= GOODPUT,
        ),
        min((refused_well(one) for one in measured.floods), key=lambda verdict: verdict.met),
        min((_quick(one) for one in measured.floods), key=lambda verdict: verdict.met),
        flat_memory(measured.resident),
    ]


def _shares(floods: Sequence[float], capacities: Sequence[float]) -> float:
    """Return the median ratio of each flood's rate to the mean capacity before and after it; 0 without capacity."""
    around = [statistics.mean(pair) for pair in itertools.pairwise(capacities)]
    return statistics.median(rate / most if most else 0.0 for rate, most in zip(floods, around, strict=True))


def _floods(stage: Stage, caller: Caller, service: LoadedService, alone: Figures) -> OverloadMeasured:
    pace = stage.pace
    load = flood(alone, pace.overload_s / pace.rounds, _queue_tokens(service.info()))
    measured = OverloadMeasured(alone, [_beside_refusals(stage, caller, service, alone)], [], [])
    for round_ in range(pace.rounds):
        with progress.step(f"overload: {load.rate:,.0f} requests a second, round {round_ + 1} of {pace.rounds}"):
            flooded, resident = _watched(caller, service, load)
        measured.floods.append(flooded)
        measured.resident.extend(resident)
        measured.capacities.append(_beside_refusals(stage, caller, service, alone))
    return measured


def _beside_refusals(stage: Stage, caller: Caller, service: LoadedService, alone: Figures) -> Figures:
    """Measure the capacity while as many further requests a second are rejected."""
    pace, rate = stage.pace, (FACTOR - 1) * alone.texts_per_s
    refused = LoadScenario(MIXED, pace.seconds, pace.warm_s, rate=rate, dialect=REFUSED)
    with progress.step(f"overload: capacity beside {rate:,.0f} refusals a second"):
        return stage.capacity(caller, service, refused).loads[0]


def _quick(flooded: Figures) -> LoadVerdict:
    """Judge rejection latency at the client, which includes its own delay and waiting for a core."""
    slowest = max((refusal.latency.p99 for refusal in flooded.refused), default=0.0)
    count = sum(refusal.count for refusal in flooded.refused)
    said = f"{milliseconds(slowest)} at the client, {milliseconds(flooded.late_p99)} of it before sending"
    asked = f"refusals within {milliseconds(REFUSAL_S)} at p99"
    return LoadVerdict(asked, said if count else "nothing was refused", bool(count) and slowest < REFUSAL_S)


def _server(stage: Stage) -> LoadedService:
    tokens = stage.pace.queue_tokens
    return stage.serve(**({"MAX_QUEUE_TOKENS": str(tokens)} if tokens else {}))


def _queue_tokens(info: Mapping[str, Any]) -> int:
    """Return the server's queue limit in tokens, from GET /info."""
    held: int = info["limits"]["queue_tokens"]
    return held


def _watched(caller: Caller, service: LoadedService, load: LoadScenario) -> tuple[Figures, list[int]]:
    with usage.watch(service.pid, load.warm_s, load.seconds) as track:
        figures = caller.run(service, load).loads[0]
    return figures, track.resident


def _memory(measured: OverloadMeasured) -> Table:
    samples = measured.resident or [0]
    row = ["server", mega(samples[0]), mega(max(samples)), mega(samples[-1]), number(len(samples))]
    return Table("Resident memory under overload", ("", "MB at first", "MB at most", "MB at last", "samples"), [row])


def _raw(measured: OverloadMeasured) -> dict[str, Any]:
    return asdict(measured) | {"goodput": measured.goodput}
