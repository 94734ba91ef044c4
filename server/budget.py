"""A bounded budget of concurrent work that no single request can exhaust."""

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """Units of work (tokens, characters) in progress, at most `limit`.

    A request counts for at most half of the limit, however large it is. So an idle server accepts any request, and a
    huge one leaves room for others. The actual work stays bounded, because the size of a request is.
    """

    limit: int
    held: int = 0

    def has_room(self, amount: int) -> bool:
        """Return whether `amount` more fits."""
        return self.held + self._share(amount) <= self.limit

    def take(self, amount: int) -> int:
        """Add `amount`; return the share to pass to `release` when the work is done."""
        share = self._share(amount)
        self.held += share
        return share

    def release(self, share: int) -> None:
        """Release the share that `take` returned."""
        self.held -= share

    def _share(self, amount: int) -> int:
        return min(amount, (self.limit + 1) // 2)
