"""Interleave contenders (A B C, A B C, …) so that drift in the machine's speed affects all equally."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.process import WorkerError
from bench.workloads import Workload

# A turn repeats its run until this long has been measured, or TURN_RUNS runs.
TURN_S = 0.25
TURN_RUNS = 20
TIMEOUT_S = 600.0
LOAD_TIMEOUT_S = 900.0

Turns = list[list[float]]


class Runner(Protocol):
    """A worker that takes turns."""

    def ask(self, op: str, timeout_s: float, **fields: object) -> dict[str, Any]:
        """Send a request and return the response; raises WorkerError."""
        ...

    def settle(self) -> None:
        """Wait until the worker is idle."""
        ...


@dataclass
class Contestants:
    """The contenders still running, and why the others were dropped."""

    runners: Mapping[str, Runner]
    dropped: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Return the remaining contenders, in turn order."""
        return [name for name in self.runners if name not in self.dropped]

    def ask(self, name: str, op: str, timeout_s: float = TIMEOUT_S, **fields: object) -> dict[str, Any] | None:
        """Send a request to one contender; on failure drop it and return None."""
        try:
            return self.runners[name].ask(op, timeout_s, **fields)
        except WorkerError as error:
            self.dropped[name] = str(error)
            return None


@dataclass(frozen=True)
class RoundPace:
    """How often each contender runs each workload.

    A contender that has spent `seconds` on a workload takes no further turns in it.
    """

    rounds: int
    seconds: float


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Yield (round number, name): every contender once per round, in a fixed order."""
    for number in range(rounds):
        for name in names:
            yield number, name


def measure(
    contestants: Contestants, workload: Workload, pace: RoundPace, show: Callable[[str], None] = lambda _: None
) -> dict[str, Turns]:
    """Run one workload on all contenders in turns; return the seconds of each run, by contender and turn.

    A contender that fails is dropped from `contestants` and from the result.
    """
    measured: dict[str, Turns] = {name: [] for name in contestants.names()}
    sequences = [list(sequence) for sequence in workload.sequences]
    for number, name in turns(list(measured), pace.rounds):
        if name in contestants.dropped or _spent(measured[name], pace.seconds):
            continue
        show(f"{workload.name}: round {number + 1} of {pace.rounds}, {name}")
        answer = contestants.ask(name, "run", sequences=sequences, seconds=TURN_S, most=TURN_RUNS)
        if answer is not None:
            measured[name].append(answer["seconds"])
            contestants.runners[name].settle()
    return {name: done for name, done in measured.items() if name not in contestants.dropped}


def _spent(done: Iterable[Sequence[float]], limit: float) -> bool:
    return sum(map(sum, done)) >= limit
