"""Whose text goes next: fair by request, whatever each request holds. Pure.

Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM 1996), with a request as the flow and
tokens as its work. A virtual clock counts the tokens that each waiting request would have got by now. A request's
first text is due at the clock's position when it is admitted, each later one when those before it would have been
served. So a short request passes the rest of a long one, many long ones advance side by side, and since the clock
moves on with all that is served, no text is overtaken for ever. A small request is due as a whole.

While large requests go by their deadlines instead (server.batching.deadlines), all of them together have one turn,
`large`, which advances by what each of them got on average: beside small ones they get what they would have got by
turns.
"""

from collections.abc import Iterator, Sequence


class FairQueue:
    """The virtual clock, in tokens."""

    def __init__(self) -> None:
        self.now = 0.0
        self.large = 0.0

    def admit(self, lengths: Sequence[int], *, whole: bool = False) -> Iterator[float]:
        """Yield when each text of a new request is due, from their lengths in tokens; all at once if `whole`."""
        due = self.now
        for length in lengths:
            yield due
            due += 0 if whole else length

    def serve(self, tokens: int, requests: int) -> None:
        """Advance by what each of the `requests` that wait got on average of `tokens`."""
        self.now += tokens / max(1, requests)

    def join_large(self) -> None:
        """Give large requests one turn together, which is now."""
        self.large = self.now

    def serve_large(self, tokens: int, requests: int) -> None:
        """Advance the large ones' common turn by what each of `requests` got on average of `tokens`."""
        self.large += tokens / max(1, requests)
