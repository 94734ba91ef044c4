"""Queue space reserved for a request, first by estimate and after tokenization by its actual size. Pure."""

from dataclasses import dataclass

from server.batching.admission import Demand
from server.budget import Budget


@dataclass(slots=True)
class Estimates:
    """Total work of admitted requests that are still being tokenized, in seconds by the measured cost."""

    small_s: float = 0.0
    large_s: float = 0.0
    requests: int = 0

    def add(self, demand: Demand) -> None:
        """Add a request."""
        self._change(demand, 1)

    def remove(self, demand: Demand) -> None:
        """Remove a request."""
        self._change(demand, -1)
        if not self.requests:
            self.small_s = self.large_s = 0.0  # floating-point sums drift

    def _change(self, demand: Demand, sign: int) -> None:
        self.requests += sign
        if demand.small:
            self.small_s += sign * demand.work_s
        else:
            self.large_s += sign * demand.work_s


class Permit:
    """Reserved queue space for one request: first for an estimate, then for its actual size."""

    def __init__(self, demand: Demand, queue: Budget, estimates: Estimates) -> None:
        """Reserve space for the estimate `demand`."""
        self.demand = demand
        self._queue = queue
        self._share = queue.take(demand.tokens)
        self._estimates: Estimates | None = estimates
        estimates.add(demand)

    def settle(self, demand: Demand) -> None:
        """Replace the estimate by the actual size, `demand`."""
        self.release()
        self.demand = demand
        self._share = self._queue.take(demand.tokens)

    def release(self) -> None:
        """Release the reserved space; idempotent."""
        self._queue.release(self._share)
        self._share = 0
        if self._estimates:
            self._estimates.remove(self.demand)
            self._estimates = None
