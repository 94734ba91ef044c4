"""A bound on work in hand that no single request can use up."""

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """Units of work (tokens, characters) in hand, at most `limit`.

    A request counts for at most half of the limit, however large it is. So an idle server takes any request, and
    a huge one leaves room for others; what is in hand stays bounded, since one request's size is.
    """

    limit: int
    held: int = 0

    def has_room(self, amount: int) -> bool:
        """Whether `amount` more may be taken."""
        return self.held + self._share(amount) <= self.limit

    def take(self, amount: int) -> int:
        """Take `amount` into hand; return what to release when it is done."""
        share = self._share(amount)
        self.held += share
        return share

    def release(self, share: int) -> None:
        """Give back what `take` returned."""
        self.held -= share

    def _share(self, amount: int) -> int:
        return min(amount, (self.limit + 1) // 2)
