"""Whether a caller takes what is sent to it: fed with a clock and the bytes that wait. Pure."""

# What a caller must take of an answer within the time allowed.
LEAST_TAKEN_BYTES = 65_536


class SlowReader:
    """How fast one caller takes its answers."""

    def __init__(self, now: float) -> None:
        self._untaken_bytes = 0
        self._taken_at = now

    def stalled(self, untaken: int, now: float, limit_s: float) -> bool:
        """Whether `untaken` bytes wait, of which the caller has taken too little within the last `limit_s` seconds."""
        if not untaken or not 0 <= self._untaken_bytes - untaken < LEAST_TAKEN_BYTES:
            self._untaken_bytes, self._taken_at = untaken, now
        return now - self._taken_at >= limit_s

    def forgive(self, seconds: float) -> None:
        """Leave out of account `seconds` in which this process did not run."""
        self._taken_at += seconds
