"""Queue space reserved for a request, first by estimate and after tokenization by its actual size. Pure."""

from dataclasses import dataclass

from server.batching.admission import Ask
from server.budget import Budget


@dataclass(slots=True)
class Estimates:
    """Total work of admitted requests that are still being tokenized, in seconds by the measured cost."""

    small_s: float = 0.0
    large_s: float = 0.0
    requests: int = 0

    def add(self, ask: Ask) -> None:
        """Add a request."""
        self._change(ask, 1)

    def remove(self, ask: Ask) -> None:
        """Remove a request."""
        self._change(ask, -1)
        if not self.requests:
            self.small_s = self.large_s = 0.0  # floating-point sums drift

    def _change(self, ask: Ask, sign: int) -> None:
        self.requests += sign
        if ask.small:
            self.small_s += sign * ask.work_s
        else:
            self.large_s += sign * ask.work_s


class Permit:
    """Reserved queue space for one request: first for an estimate, then for its actual size."""

    def __init__(self, ask: Ask, queue: Budget, estimates: Estimates) -> None:
        """Reserve space for the estimate `ask`."""
        self.ask = ask
        self._queue = queue
        self._share = queue.take(ask.tokens)
        self._estimates: Estimates | None = estimates
        estimates.add(ask)

    def settle(self, ask: Ask) -> None:
        """Replace the estimate by the actual size, `ask`."""
        self.release()
        self.ask = ask
        self._share = self._queue.take(ask.tokens)

    def release(self) -> None:
        """Release the reserved space; idempotent."""
        self._queue.release(self._share)
        self._share = 0
        if self._estimates:
            self._estimates.remove(self.ask)
            self._estimates = None
