"""What one request holds of the queue, from the estimate before its texts are tokenized until it is answered. Pure."""

from dataclasses import dataclass

from server.batching.admission import Ask
from server.budget import Budget


@dataclass(slots=True)
class Estimates:
    """The work of admitted requests that are still being tokenized, in seconds of the measured cost."""

    small_s: float = 0.0
    large_s: float = 0.0
    requests: int = 0

    def add(self, ask: Ask) -> None:
        """Count one more."""
        self._change(ask, 1)

    def remove(self, ask: Ask) -> None:
        """Count it no longer."""
        self._change(ask, -1)
        if not self.requests:
            self.small_s = self.large_s = 0.0  # sums of floats drift

    def _change(self, ask: Ask, sign: int) -> None:
        self.requests += sign
        if ask.small:
            self.small_s += sign * ask.work_s
        else:
            self.large_s += sign * ask.work_s


class Permit:
    """Room in the queue for one request: first for an estimate of it, then for what it turns out to need."""

    def __init__(self, ask: Ask, queue: Budget, estimates: Estimates) -> None:
        """Take room for the estimate `ask`."""
        self.ask = ask
        self._queue = queue
        self._share = queue.take(ask.tokens)
        self._estimates: Estimates | None = estimates
        estimates.add(ask)

    def settle(self, ask: Ask) -> None:
        """Hold room for `ask` in place of the estimate."""
        self.release()
        self.ask = ask
        self._share = self._queue.take(ask.tokens)

    def release(self) -> None:
        """Give back what is held; a second time nothing is."""
        self._queue.release(self._share)
        self._share = 0
        if self._estimates:
            self._estimates.remove(self.ask)
            self._estimates = None
