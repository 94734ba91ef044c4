"""Count the outcomes of one load's requests."""

from array import array
from dataclasses import dataclass, field

import numpy as np

from bench.load.connection import ServiceAnswer
from bench.load.figures import Figures, Latency, Outcome


@dataclass(slots=True)
class Call:
    """A request. Times in seconds on the event loop's clock; `patience_s` is the caller's timeout (0: none)."""

    planned: float
    texts: int
    patience_s: float = 0.0
    sent: float = 0.0

    def in_time(self, now: float) -> bool:
        """Return whether the caller's timeout has not expired."""
        return not self.patience_s or now - self.planned < self.patience_s


@dataclass
class _Responses:
    """Responses with one status."""

    retry_after: int = 0
    seconds: "array[float]" = field(default_factory=lambda: array("d"))


class Tally:
    """Accumulates figures for the window from `begin` to `end` on the event loop's clock."""

    def __init__(self, begin: float, end: float) -> None:
        self._begin, self._end = begin, end
        self._planned = self._unsent = self._broken = self._gone = 0
        self._responses: dict[int, _Responses] = {}
        self._late = array("d")
        self._answered_texts = self._window_texts = self._window_tokens = 0

    def plan(self, call: Call) -> None:
        """Count a scheduled request."""
        self._planned += self._counts(call)

    def miss(self, call: Call) -> None:
        """Count a request that the client could not send."""
        self._unsent += self._counts(call)

    def lose(self, call: Call) -> None:
        """Count a request whose connection failed."""
        self._broken += self._counts(call)

    def leave(self, call: Call) -> None:
        """Count a request whose caller disconnected."""
        self._gone += self._counts(call)

    def answer(self, call: Call, answer: ServiceAnswer, now: float) -> None:
        """Count a response."""
        if answer.status == 200 and call.in_time(now):
            self._answered_texts += call.texts
            if self._begin <= now < self._end:
                self._window_texts += call.texts
                self._window_tokens += answer.tokens
        if self._counts(call):
            responses = self._responses.setdefault(answer.status, _Responses())
            responses.retry_after += answer.retry_after
            responses.seconds.append(now - call.planned)
            self._late.append(call.sent - call.planned)

    def figures(self) -> Figures:
        """Return the figures; requests in flight count as unanswered."""
        seconds = self._end - self._begin
        return Figures(
            seconds=seconds,
            planned=self._planned,
            unsent=self._unsent,
            unanswered=self._planned - self._unsent - self._broken - self._gone - len(self._late),
            broken=self._broken,
            gone=self._gone,
            outcomes={
                str(status): Outcome(len(responses.seconds), responses.retry_after, latency(responses.seconds))
                for status, responses in sorted(self._responses.items())
            },
            texts_per_s=self._window_texts / seconds,
            tokens_per_s=self._window_tokens / seconds,
            answered_texts=self._answered_texts,
            late_p99=latency(self._late).p99,
        )

    def _counts(self, call: Call) -> bool:
        return self._begin <= call.planned < self._end


def latency(seconds: "array[float]") -> Latency:
    """Return nearest-rank percentiles and the maximum; zeros if there are none."""
    if not seconds:
        return Latency(0.0, 0.0, 0.0, 0.0)
    return Latency(*np.quantile(seconds, (0.5, 0.95, 0.99, 1.0), method="inverted_cdf").tolist())
