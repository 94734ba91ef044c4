"""Moving averages of the engine's speed, relative to the startup calibration, and of arrival rates. Pure."""

import math

# Time constant of the moving average, in computed seconds: averages out noise, yet adapts to a change of the machine.
MEASURED_S = 0.5
MOST_WEIGHT = 0.3
# Measurements are clipped to this factor of the current ratio: an outlier (process suspended, CPU throttled) has little
# effect, while a lasting change is still learned within a few batches.
MOST_STEP = 2.0


class Speed:
    """The ratio of batches' measured time to the cost model's prediction; 1 before the first batch."""

    def __init__(self) -> None:
        self.ratio = 1.0

    def note(self, expected_s: float, actual_s: float) -> None:
        """Update the ratio from one batch; short batches, whose time is mostly noise, weigh less."""
        if expected_s <= 0:
            return
        measured = min(max(actual_s / expected_s, self.ratio / MOST_STEP), self.ratio * MOST_STEP)
        weight = min(MOST_WEIGHT, -math.expm1(-expected_s / MEASURED_S))
        self.ratio += weight * (measured - self.ratio)


class Rate:
    """An exponentially decaying rate per second with time constant `window_s`."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._amount = 0.0
        self._noted = -math.inf

    def note(self, amount: float, now: float) -> None:
        """Add `amount` at time `now`, in seconds."""
        self._amount = self._decayed(now) + amount
        self._noted = now

    def per_s(self, now: float) -> float:
        """Return the rate at time `now`."""
        return self._decayed(now) / self._window_s

    def _decayed(self, now: float) -> float:
        return self._amount * math.exp(min(0.0, self._noted - now) / self._window_s)
