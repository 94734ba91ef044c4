"""Which waiting texts run next. Pure: no clock, no thread, no socket."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from server.batching.cost_model import CostModel, Load, Pace

# Texts passed over for one batch, so that planning stays short however many wait.
PASSED = 64
# Texts that are the same as one of the batch and are looked at for it: those behind them get their vectors all the same
# (WaitingTexts.claim), and tens of thousands may wait.
ALIKE = 1024
# The share of the budget from which on looking for one more text that fits is not worth the time.
FULL = 0.9


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much one batch computes, in tokens, padding included.

    `bulk_tokens` bounds a batch that begins with a text of a large request: whatever comes meanwhile waits for it.
    `horizon` is the position of the virtual clock (server.batching.fair_queue).
    """

    tokens: int
    bulk_tokens: int
    horizon: float

    @classmethod
    def of_pace(cls, pace: Pace, waiting: int, horizon: float, *, sliced: bool) -> "BatchLimits":
        """Limits for the next batch of one stream while `waiting` tokens wait; `sliced` keeps large requests short.

        Where there are more streams, none takes the others' share of what waits, as long as that costs no speed.
        """
        tokens = pace.batch_tokens
        if pace.streams > 1:
            tokens = min(tokens, max(pace.slice_tokens, math.ceil(waiting / (FULL * pace.streams))))
        return cls(tokens, min(tokens, pace.slice_tokens) if sliced else tokens, horizon)

    def of(self, first: "Pending") -> int:
        """Return the bound of a batch that begins with this text."""
        return self.tokens if first.small else self.bulk_tokens


class Pending(Protocol):
    """What planning needs to know of a text. `deadline` is seconds on the clock that `now` reads."""

    @property
    def tokens(self) -> int:
        """Length, special tokens included."""
        ...

    @property
    def due(self) -> float:
        """When its turn comes, on the virtual clock."""
        ...

    @property
    def small(self) -> bool:
        """Whether its whole request is so small that someone may be waiting for it."""
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
class BatchPlan(Generic[PendingT]):
    """What became of the texts that were looked at; settled ones are in none of the lists."""

    batch: list[PendingT] = field(default_factory=list)
    expired: list[PendingT] = field(default_factory=list)
    waiting: list[PendingT] = field(default_factory=list)
    load: Load = field(default_factory=Load)
    keys: set[bytes] = field(default_factory=set)
    alike: int = 0

    def take(self, text: PendingT) -> None:
        """Put `text` into the batch."""
        self.batch.append(text)
        if text.key in self.keys:
            self.alike += 1
        else:
            self.keys.add(text.key)
            self.load = self.load.plus(text.tokens)


def plan(
    pending: Iterator[PendingT], cost: CostModel, limits: BatchLimits, now: float, lead_s: float = 0.0
) -> BatchPlan[PendingT]:
    """Choose the next batch from texts that come in the order of their turns: the first one, then what fits.

    A text fits while the batch stays within its limit and it is cheaper in this batch than in one of its own; with
    padding, that is a text of like length. One that is the same as another of the batch costs nothing. A batch for
    small requests is not filled up with texts of large ones whose turn has not come. As the first always goes,
    however long it is, every text goes in the end. No more of `pending` is taken than is looked at. A text
    whose deadline has passed has expired, and one of a large request already `lead_s` before.
    """
    chosen: BatchPlan[PendingT] = BatchPlan()
    for text in pending:
        if text.settled:
            continue
        if text.deadline <= now + (0.0 if text.small else lead_s):
            chosen.expired.append(text)
        elif not chosen.batch or text.key in chosen.keys or _fits(chosen, text, cost, limits):
            chosen.take(text)
        else:
            chosen.waiting.append(text)
        if _ends(chosen, cost, limits):
            break
    return chosen


def _fits(chosen: BatchPlan[PendingT], text: Pending, cost: CostModel, limits: BatchLimits) -> bool:
    first, load = chosen.batch[0], chosen.load
    if first.small and not text.small and text.due >= limits.horizon:
        return False
    return cost.computed(load.plus(text.tokens)) <= limits.of(first) and cost.cheaper_together(load, text.tokens)


def _ends(chosen: BatchPlan[PendingT], cost: CostModel, limits: BatchLimits) -> bool:
    full = chosen.batch and cost.computed(chosen.load) >= FULL * limits.of(chosen.batch[0])
    return bool(full) or len(chosen.waiting) >= PASSED or chosen.alike >= ALIKE
