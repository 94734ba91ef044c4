"""Known-answer health check: periodically recomputes a short text and compares its vector with the one at startup."""

import asyncio
import time
from collections.abc import Callable

from server.batching.batcher import Batcher
from server.errors import ServiceError, UnavailableError
from server.inference.engine import Ids, Vectors

# Every readiness probe asks for a check, often once a second; the engine need not compute that often.
EVERY_S = 5.0
TIMEOUT_S = 30.0
FAILURES = 3
# Repeated runs of one text on one machine differ by rounding only, in every precision.
LEAST_COSINE = 0.9999


class KnownAnswer:
    """Compares the vector of a short text with the one computed while warming the engine."""

    def __init__(
        self, batcher: Batcher, ids: Ids, vector: Vectors, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._batcher = batcher
        self._ids = ids
        self._vector = vector
        self._clock = clock
        self._checked = clock()
        self._problem = ""
        self._comparing: asyncio.Future[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the last check passed and fewer than FAILURES batches in a row have failed since."""
        return not self._problem and self._batcher.failures_in_a_row < FAILURES

    async def check(self) -> None:
        """Check the engine, recomputing the text if it was unhealthy or after EVERY_S.

        Raises:
            UnavailableError: inference fails, hangs or returns another vector.
        """
        if self._comparing is None and (not self.healthy or self._clock() - self._checked >= EVERY_S):
            self._checked = self._clock()
            self._comparing = asyncio.ensure_future(self._compare())
        if self._comparing is not None:
            # All concurrent probes share this check, and it survives any of them hanging up: no probe may report a
            # hanging engine as healthy.
            await asyncio.shield(self._comparing)
        if self._problem:
            raise UnavailableError(self._problem)

    async def _compare(self) -> None:
        try:
            self._problem = await self._find_fault()
        finally:
            self._comparing = None

    async def _find_fault(self) -> str:
        try:
            embedded = await self._batcher.probe(self._ids, self._clock() + TIMEOUT_S)
        except ServiceError as error:
            return f"inference fails: {error}"
        cosine = float(embedded.vectors[0] @ self._vector)
        return "" if cosine >= LEAST_COSINE else f"a known text has another vector than at start (cosine {cosine:.4f})"
