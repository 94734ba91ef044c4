"""Count the outcomes of one load's requests."""

from dataclasses import dataclass, field

from bench.load.answer import ReceivedAnswer
from bench.load.call import Call
from bench.load.figures import Figures, Latency, Outcome
from bench.load.histogram import Histogram


@dataclass
class _Kind:
    """Responses with one status."""

    retry_after: int = 0
    seconds: Histogram = field(default_factory=Histogram)


class Tally:
    """Accumulates figures for the window from `begin` to `end` on the event loop's clock."""

    def __init__(self, begin: float, end: float) -> None:
        self.unsent = self.broken = self.gone = self.planned = self.settled = self.connections = 0
        self._begin, self._end = begin, end
        self._kinds: dict[int, _Kind] = {}
        self._late = Histogram()
        self._answered_texts = self._window_texts = self._window_tokens = 0

    def plan(self, call: Call) -> None:
        """Count a scheduled request."""
        self.planned += self._counts(call)

    def miss(self, call: Call) -> None:
        """Count a request that the client could not send."""
        self.unsent += self._counts(call)

    def lose(self, call: Call) -> None:
        """Count a request whose connection failed, or whose caller disconnected."""
        if call.left:
            self.gone += self._counts(call)
        else:
            self.broken += self._counts(call)

    def answer(self, call: Call, answer: ReceivedAnswer, now: float) -> None:
        """Count a response."""
        if answer.good and call.in_time(now):
            self._answered_texts += call.texts
            if self._begin <= now < self._end:
                self._window_texts += call.texts
                self._window_tokens += answer.tokens
        if self._counts(call):
            self.settled += 1
            kind = self._kinds.setdefault(answer.status, _Kind())
            kind.retry_after += answer.retry_after
            kind.seconds.add(now - call.planned)
            self._late.add(call.sent - call.planned)

    def figures(self) -> Figures:
        """Return the figures; requests in flight count as unanswered."""
        seconds = self._end - self._begin
        return Figures(
            seconds=seconds,
            planned=self.planned,
            unsent=self.unsent,
            unanswered=self.planned - self.unsent - self.broken - self.gone - self.settled,
            broken=self.broken,
            gone=self.gone,
            outcomes={str(status): _outcome(kind) for status, kind in sorted(self._kinds.items())},
            texts_per_s=self._window_texts / seconds,
            tokens_per_s=self._window_tokens / seconds,
            answered_texts=self._answered_texts,
            late_p99=self._late.percentile(0.99),
            connections=self.connections,
        )

    def _counts(self, call: Call) -> bool:
        return self._begin <= call.planned < self._end


def _outcome(kind: _Kind) -> Outcome:
    p50, p95, p99 = (kind.seconds.percentile(share) for share in (0.5, 0.95, 0.99))
    return Outcome(kind.seconds.count, kind.retry_after, Latency(p50, p95, p99, kind.seconds.most))
