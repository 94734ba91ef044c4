"""What one load measured. Times in seconds, rates a second."""

import math
from dataclasses import dataclass

OK = "200"
# How a server may refuse when it has too much to do; the statuses are the contract's.
REFUSALS = ("429", "503")


@dataclass(frozen=True)
class Latency:
    """Percentiles of durations, counted from when a request was planned, and the longest."""

    p50: float
    p95: float
    p99: float
    most: float


NOTHING = Latency(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Outcome:
    """The answers with one status; `retry_after` counts those that say when to come again."""

    count: int
    retry_after: int
    latency: Latency


@dataclass(frozen=True)
class Figures:
    """One load's window of `seconds`.

    `planned`, `unsent`, `unanswered`, `broken` and `outcomes` are of requests planned in the window: how many there
    were, how many the client had no connection or no time for, how many got no answer in time, how many lost their
    connection. Texts and tokens a second are of good answers that arrived in the window, whenever they were planned.
    `answered_texts` counts the good answers' texts from the warm-up to the end. `late_p99` is how far the client
    itself was behind its plan. `gone` counts callers that hung up; answers that came later than their callers wait are
    in no rate.
    """

    seconds: float
    planned: int
    unsent: int
    unanswered: int
    broken: int
    outcomes: dict[str, Outcome]
    texts_per_s: float
    tokens_per_s: float
    answered_texts: int
    late_p99: float
    connections: int
    gone: int = 0

    @property
    def latency(self) -> Latency:
        """Of the good answers."""
        good = self.outcomes.get(OK)
        return good.latency if good else NOTHING

    @property
    def good(self) -> int:
        """How many of the planned requests got what they asked for."""
        return self.outcomes[OK].count if OK in self.outcomes else 0

    def times_p99(self, base: "Figures") -> float:
        """The 99th percentile of the good answers over that of `base`; endless where either had none."""
        return self.latency.p99 / base.latency.p99 if self.good and base.good else math.inf

    @property
    def faults(self) -> int:
        """Requests that were sent and got neither a good answer nor a refusal."""
        strange = sum(found.count for status, found in self.outcomes.items() if status not in (OK, *REFUSALS))
        return strange + self.unanswered + self.broken

    @property
    def refused(self) -> list[Outcome]:
        """The refusals, by status."""
        return [self.outcomes[status] for status in REFUSALS if status in self.outcomes]
