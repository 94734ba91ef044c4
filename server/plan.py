"""Which waiting texts run next. Pure: no clock, no thread, no socket."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, Protocol, TypeVar

from server.cost import CostModel, Load

# Texts looked at for one batch, so that planning stays short however many wait.
WINDOW = 512
# The share of the budget from which on looking for one more text that fits is not worth the time.
FULL = 0.9


class Pending(Protocol):
    """What planning needs to know of a text. `deadline` is seconds on the clock that `now` reads."""

    @property
    def tokens(self) -> int:
        """Length, special tokens included."""
        ...

    @property
    def key(self) -> bytes:
        """The same for texts that have the same vector."""
        ...

    @property
    def deadline(self) -> float:
        """From when on computing it is useless."""
        ...

    @property
    def settled(self) -> bool:
        """Whether it need not be computed any more: nobody waits for it, or it runs already."""
        ...


PendingT = TypeVar("PendingT", bound=Pending)


@dataclass(slots=True)
class Plan(Generic[PendingT]):
    """What became of the texts that were looked at; settled ones are in none of the lists."""

    batch: list[PendingT] = field(default_factory=list)
    expired: list[PendingT] = field(default_factory=list)
    waiting: list[PendingT] = field(default_factory=list)
    load: Load = field(default_factory=Load)


def plan(pending: Iterator[PendingT], cost: CostModel, budget: int, now: float) -> Plan[PendingT]:
    """Choose the next batch from texts that come in the order of their turns: the first one, then what fits.

    A text fits while the tokens to compute stay within `budget` and it is cheaper in this batch than in one of its
    own; with padding, that is a text of like length. One that is the same as another of the batch costs nothing.
    As the first always goes, however long it is, every text goes in the end. No more of `pending` is taken than is
    looked at.
    """
    chosen: Plan[PendingT] = Plan()
    keys: set[bytes] = set()
    for text in islice(pending, WINDOW):
        if text.settled:
            continue
        if text.deadline <= now:
            chosen.expired.append(text)
        elif text.key in keys:
            chosen.batch.append(text)
        elif not chosen.batch or _fits(chosen.load, text.tokens, cost, budget):
            chosen.batch.append(text)
            chosen.load = chosen.load.plus(text.tokens)
            keys.add(text.key)
        else:
            chosen.waiting.append(text)
        if cost.computed(chosen.load) >= budget * FULL:
            break
    return chosen


def _fits(load: Load, length: int, cost: CostModel, budget: int) -> bool:
    return cost.computed(load.plus(length)) <= budget and cost.cheaper_together(load, length)
