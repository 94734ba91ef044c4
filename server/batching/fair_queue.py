"""Fair queueing between requests, regardless of their sizes. Pure.

Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996), with requests as flows and
tokens as their work. The virtual clock counts the tokens that each queued request has received on average. A request's
first text is due at the clock's position on admission, each later one when those before it would have been served.
So a short request overtakes the rest of a long one, long ones progress concurrently, and no text starves, since the
clock advances with everything served. All texts of a small request are due at once.

While large requests are ordered by deadline instead (server.batching.deadlines), they share one virtual time, `large`,
which advances by what each of them received on average, so that they get the same share against small ones as before.
"""

from collections.abc import Iterator, Sequence


class FairQueue:
    """The virtual clock of start-time fair queueing, in tokens."""

    def __init__(self) -> None:
        self.now = 0.0
        self.large = 0.0

    def admit(self, lengths: Sequence[int], *, whole: bool = False) -> Iterator[float]:
        """Yield the virtual time at which each text of a new request is due; the same for all if `whole`.

        `lengths` are in tokens.
        """
        due = self.now
        for length in lengths:
            yield due
            due += 0 if whole else length

    def serve(self, tokens: int, requests: int) -> None:
        """Advance the clock after `tokens` were served to `requests` queued requests."""
        self.now += tokens / max(1, requests)

    def join_large(self) -> None:
        """Start the large requests' shared virtual time at the current clock."""
        self.large = self.now

    def serve_large(self, tokens: int, requests: int) -> None:
        """Advance the large requests' shared virtual time after `tokens` were served to `requests` of them."""
        self.large += tokens / max(1, requests)
