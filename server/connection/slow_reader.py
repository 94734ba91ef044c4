"""Detects callers that do not read their answers. Pure: buffer sizes and times are passed in."""

# Bytes of an answer that a caller must read within the time limit.
LEAST_TAKEN_BYTES = 65_536


class SlowReader:
    """How fast one caller reads its answers."""

    def __init__(self, now: float) -> None:
        self._untaken_bytes = 0
        self._taken_at = now

    def stalled(self, untaken: int, now: float, limit_s: float) -> bool:
        """Return whether `untaken` bytes are buffered and too few have been read in the last `limit_s` seconds."""
        if not untaken or not 0 <= self._untaken_bytes - untaken < LEAST_TAKEN_BYTES:
            self._untaken_bytes, self._taken_at = untaken, now
        return now - self._taken_at >= limit_s

    def extend(self, seconds: float) -> None:
        """Discount `seconds` in which this process was suspended."""
        self._taken_at += seconds
