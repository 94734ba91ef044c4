"""Whose text goes next: fair by request, whatever each request holds. Pure.

Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996), with a request as the flow and
tokens as its work. A virtual clock counts the tokens that each waiting request would have got by now. A request's
first text is due at the clock's position when it is admitted, each later one when those before it would have been
served. So a short request passes the rest of a long one, many long ones advance side by side, and since the clock
moves on with all that is served, no text is overtaken for ever.
"""

from collections.abc import Iterator, Sequence


class Turns:
    """The virtual clock, in tokens."""

    def __init__(self) -> None:
        self.now = 0.0

    def admit(self, lengths: Sequence[int]) -> Iterator[float]:
        """Yield when each text of a new request is due, from their lengths in tokens."""
        due = self.now
        for length in lengths:
            yield due
            due += length

    def serve(self, tokens: int, requests: int) -> None:
        """Advance by what each of the `requests` that wait got on average of `tokens`."""
        self.now += tokens / max(1, requests)
