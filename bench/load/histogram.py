"""Percentiles of any number of durations in a fixed amount of memory."""

import math

# Each bucket is half a percent wider than the one before: percentiles are that exact.
_STEP = math.log(1.005)
_LEAST_S, _MOST_S = 1e-5, 3600.0
_BUCKETS = math.ceil(math.log(_MOST_S / _LEAST_S) / _STEP) + 1


class Histogram:
    """Durations from 10 µs to an hour; what lies outside counts as the nearest of these."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0.0
        self._counts = [0] * _BUCKETS

    def add(self, seconds: float) -> None:
        """Count one duration."""
        within = min(max(seconds, _LEAST_S), _MOST_S)
        self._counts[int(math.log(within / _LEAST_S) / _STEP)] += 1
        self.count += 1
        self.most = max(self.most, seconds)

    def percentile(self, share: float) -> float:
        """Return the duration that `share` of all do not exceed (nearest rank), within half a percent; 0 of none."""
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for place, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return min(_LEAST_S * math.exp(_STEP * (place + 1)), self.most)
        return 0.0
