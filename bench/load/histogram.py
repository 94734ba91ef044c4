"""Percentiles of a stream of durations in constant memory."""

import math

# Bucket bounds grow by 0.5 %, which is the relative error of percentiles.
_STEP = math.log(1.005)
_LEAST_S, _MOST_S = 1e-5, 3600.0
_BUCKETS = math.ceil(math.log(_MOST_S / _LEAST_S) / _STEP) + 1


class Histogram:
    """Log-scaled histogram of durations from 10 µs to one hour; values outside are clamped."""

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
        """Return the nearest-rank percentile for `share`, within 0.5 %; 0 if empty."""
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for place, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return min(_LEAST_S * math.exp(_STEP * (place + 1)), self.most)
        return 0.0
