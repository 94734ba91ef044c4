"""How fast work is done of late, beside what was measured before the server listened. Pure."""

import math

# A measurement is forgotten after about so much computing: long enough for noise, short after a change of the machine.
MEASURED_S = 0.5
MOST_WEIGHT = 0.3
# A batch during which the process stood still (SIGSTOP, CPU quota) says nothing of the next: one measurement counts for
# at most so many times what is known, so that a lasting change is still learned within a few batches.
MOST_STEP = 2.0


class Speed:
    """The time batches take over the time that the cost model expects; 1 before the first batch."""

    def __init__(self) -> None:
        self.ratio = 1.0

    def note(self, expected_s: float, actual_s: float) -> None:
        """Learn from one batch; short ones, whose time is mostly noise, count for less."""
        if expected_s <= 0:
            return
        found = min(max(actual_s / expected_s, self.ratio / MOST_STEP), self.ratio * MOST_STEP)
        weight = min(MOST_WEIGHT, -math.expm1(-expected_s / MEASURED_S))
        self.ratio += weight * (found - self.ratio)


class Rate:
    """How much of something comes in a second, the last `window_s` seconds counting most (exponential decay)."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._amount = 0.0
        self._noted = -math.inf

    def note(self, amount: float, now: float) -> None:
        """Add `amount`, come at `now` in seconds."""
        self._amount = self._decayed(now) + amount
        self._noted = now

    def per_s(self, now: float) -> float:
        """Return the rate at `now`."""
        return self._decayed(now) / self._window_s

    def _decayed(self, now: float) -> float:
        return self._amount * math.exp(min(0.0, self._noted - now) / self._window_s)
