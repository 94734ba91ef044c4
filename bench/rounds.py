"""Taking turns: A B C, A B C, and so on, so that the machine's drift touches all contenders alike."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.process import WorkerError
from bench.workloads import Workload

# One turn measures at least this long, in as many runs as that takes.
TURN_S = 0.25
TURN_RUNS = 20
TIMEOUT_S = 600.0
LOAD_TIMEOUT_S = 900.0

Turns = list[list[float]]


class Runner(Protocol):
    """What takes turns."""

    def ask(self, op: str, timeout_s: float, **fields: object) -> dict[str, Any]:
        """Send a request, return the answer; raises WorkerError."""
        ...

    def settle(self) -> None:
        """Wait until it is quiet."""
        ...


@dataclass
class Field:
    """The contenders that are still in the race, and why the others are not."""

    runners: Mapping[str, Runner]
    dropped: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Who is still in, in the order of turns."""
        return [name for name in self.runners if name not in self.dropped]

    def ask(self, name: str, op: str, timeout_s: float = TIMEOUT_S, **fields: object) -> dict[str, Any] | None:
        """Ask one contender; one that fails is dropped and None is returned."""
        try:
            return self.runners[name].ask(op, timeout_s, **fields)
        except WorkerError as error:
            self.dropped[name] = str(error)
            return None


@dataclass(frozen=True)
class RoundPace:
    """How often each contender runs each workload.

    After its first turn, one that has spent `seconds` on a workload gets no further turn in it.
    """

    rounds: int
    seconds: float


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Yield whose turn it is, with the number of the round: every contender once in each round, in one order."""
    for number in range(rounds):
        for name in names:
            yield number, name


def measure(
    contestants: Field, workload: Workload, pace: RoundPace, show: Callable[[str], None] = lambda _: None
) -> dict[str, Turns]:
    """Let all contenders run one workload in turns; the seconds of each run, by contender and turn.

    A contender that fails is dropped from `contestants`, and what it had measured is left out.
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
