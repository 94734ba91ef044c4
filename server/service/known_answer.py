"""Is the engine well? One short text whose vector is known is computed again from time to time."""

import asyncio
import time
from collections.abc import Callable

from server.batching.batcher import Batcher
from server.errors import ServiceError, UnavailableError
from server.inference.engine import Ids, Vectors

# A check is asked for by every readiness probe, often each second; the engine need not compute that often.
EVERY_S = 5.0
TIMEOUT_S = 30.0
FAILURES = 3
# Two runs of the same text on the same machine differ by rounding at most, in every precision.
LEAST_COSINE = 0.9999


class KnownAnswer:
    """Compares the vector of a short text with the one it had when the engine was warmed."""

    def __init__(
        self, batcher: Batcher, ids: Ids, vector: Vectors, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._batcher = batcher
        self._ids = ids
        self._vector = vector
        self._clock = clock
        self._checked = clock()
        self._complaint = ""
        self._comparing: asyncio.Future[None] | None = None

    @property
    def well(self) -> bool:
        """Whether the last check passed and batches have not failed in a row since."""
        return not self._complaint and self._batcher.failures_in_a_row < FAILURES

    async def check(self) -> None:
        """Return if the engine is well; computes the text again when it was not, or after EVERY_S.

        Raises:
            UnavailableError: it fails, hangs or gives another vector.
        """
        if self._comparing is None and (not self.well or self._clock() - self._checked >= EVERY_S):
            self._checked = self._clock()
            self._comparing = asyncio.ensure_future(self._compare())
        if self._comparing is not None:
            # One for all who ask meanwhile, whoever of them hangs up: an engine that hangs must seem well to none.
            await asyncio.shield(self._comparing)
        if self._complaint:
            raise UnavailableError(self._complaint)

    async def _compare(self) -> None:
        try:
            self._complaint = await self._find_fault()
        finally:
            self._comparing = None

    async def _find_fault(self) -> str:
        try:
            embedded = await self._batcher.probe(self._ids, self._clock() + TIMEOUT_S)
        except ServiceError as error:
            return f"inference fails: {error}"
        cosine = float(embedded.vectors[0] @ self._vector)
        return "" if cosine >= LEAST_COSINE else f"a known text has another vector than at start (cosine {cosine:.4f})"
