"""Figures of one load. Times in seconds, rates per second."""

import math
from dataclasses import dataclass

OK = "200"
# Statuses that the API contract allows for rejections under overload.
REFUSALS = ("429", "503")


@dataclass(frozen=True)
class Latency:
    """Percentiles and maximum of latency, measured from the scheduled time of a request."""

    p50: float
    p95: float
    p99: float
    most: float


NOTHING = Latency(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Outcome:
    """Responses with one status; `retry_after` counts those with a Retry-After header."""

    count: int
    retry_after: int
    latency: Latency


@dataclass(frozen=True)
class Figures:
    """One load's measurement window of `seconds`.

    `planned`, `unsent`, `unanswered`, `broken`, `gone` and `outcomes` count requests scheduled in the window: all of
    them; those the client could not send for lack of a connection or of time; those without a response by the end;
    those whose connection failed; those whose caller timed out and disconnected; those with a response, by status.
    `texts_per_s` and `tokens_per_s` count successful responses received in the window, except those after the
    caller's timeout. `answered_texts` counts texts in successful responses, warm-up included. `late_p99` is the
    client's own delay in sending.
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
    gone: int = 0

    @property
    def latency(self) -> Latency:
        """Latency of successful responses."""
        good = self.outcomes.get(OK)
        return good.latency if good else NOTHING

    @property
    def good(self) -> int:
        """Number of scheduled requests with a successful response."""
        return self.outcomes[OK].count if OK in self.outcomes else 0

    def times_p99(self, base: "Figures") -> float:
        """Return the ratio of p99 latencies to `base`'s; infinite if either has no successful response."""
        return self.latency.p99 / base.latency.p99 if self.good and base.good else math.inf

    @property
    def faults(self) -> int:
        """Requests sent that got neither a successful response nor a rejection."""
        strange = sum(outcome.count for status, outcome in self.outcomes.items() if status not in (OK, *REFUSALS))
        return strange + self.unanswered + self.broken

    @property
    def refused(self) -> list[Outcome]:
        """Rejections by status."""
        return [self.outcomes[status] for status in REFUSALS if status in self.outcomes]
