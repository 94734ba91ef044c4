"""Batch planning: chooses which queued texts run next. Pure: no clock, no thread, no socket."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from server.batching.cost_model import CostModel, Load, Pace

# Maximum number of texts skipped while planning a batch, which bounds planning time for any queue length.
PASSED = 64
# Maximum number of duplicates considered while planning a batch: tens of thousands may be queued, and the rest share
# the vector anyway (PendingTexts.claim).
ALIKE = 1024
# A batch filled to this share of its limit is not searched for further texts that fit.
FULL = 0.9


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of one batch, in tokens, padding included.

    `bulk_tokens` is the limit if the batch's first text is bulk, so that later arrivals do not wait for it too long:
    part of a large request, or longer than that limit. `horizon` is a time on the virtual clock
    (server.batching.fair_queue): bulk texts due before it may join a batch for short ones.
    """

    tokens: int
    bulk_tokens: int
    horizon: float

    @classmethod
    def of_pace(cls, pace: Pace, waiting: int, horizon: float, *, sliced: bool) -> "BatchLimits":
        """Return the limits of one stream's next batch for a queue of `waiting` tokens.

        `sliced` limits large requests to slices. With several streams, each leaves the others their share of the queue,
        as long as its batch does not get smaller than a slice.
        """
        tokens = pace.batch_tokens
        if pace.streams > 1:
            tokens = min(tokens, max(pace.slice_tokens, math.ceil(waiting / (FULL * pace.streams))))
        return cls(tokens, min(tokens, pace.slice_tokens) if sliced else tokens, horizon)

    def of(self, first: "Pending") -> int:
        """Return the limit of a batch whose first text is `first`."""
        return self.bulk_tokens if self.bulk(first) else self.tokens

    def bulk(self, text: "Pending") -> bool:
        """Return whether short queries should not wait for a batch full of texts like this one."""
        return not text.small or text.tokens > self.bulk_tokens


class Pending(Protocol):
    """The attributes of a queued text that planning needs."""

    @property
    def tokens(self) -> int:
        """Length in tokens, special tokens included."""
        ...

    @property
    def due(self) -> float:
        """When it is due, on the virtual clock."""
        ...

    @property
    def small(self) -> bool:
        """Whether its request fits into one slice, or has no other text."""
        ...

    @property
    def key(self) -> bytes:
        """Identifies the vector: equal for identical texts."""
        ...

    @property
    def deadline(self) -> float:
        """When computing it becomes useless, in seconds on the same clock as `now` in `plan`."""
        ...

    @property
    def settled(self) -> bool:
        """Whether it need not be computed any more: its request has ended, or it is in a batch."""
        ...


PendingT = TypeVar("PendingT", bound=Pending)


@dataclass(slots=True)
class BatchPlan(Generic[PendingT]):
    """The texts that were considered, by outcome; settled ones are in none of the lists."""

    batch: list[PendingT] = field(default_factory=list)
    expired: list[PendingT] = field(default_factory=list)
    waiting: list[PendingT] = field(default_factory=list)
    load: Load = field(default_factory=Load)
    keys: set[bytes] = field(default_factory=set)
    alike: int = 0

    def take(self, text: PendingT) -> None:
        """Add `text` to the batch."""
        self.batch.append(text)
        if text.key in self.keys:
            self.alike += 1
        else:
            self.keys.add(text.key)
            self.load = self.load.plus(text.tokens)


def plan(
    pending: Iterator[PendingT], cost: CostModel, limits: BatchLimits, now: float, lead_s: float = 0.0
) -> BatchPlan[PendingT]:
    """Choose the next batch from `pending`, which is in order of priority: the first text, then all that fit.

    A text fits if the batch stays within its limit and the text is no cheaper in a batch of its own; with padding, that
    means texts of similar length. A duplicate of a text in the batch is free. A batch for small requests is not filled
    up with texts of large ones that are not yet due. The first text always runs, however long it is, so none starves.
    `pending` is consumed only as far as needed. A text expires at its deadline; one of a large request, `lead_s`
    earlier.
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
    if text.due >= limits.horizon and limits.bulk(text) and not limits.bulk(first):
        return False
    return cost.computed(load.plus(text.tokens)) <= limits.of(first) and cost.cheaper_together(load, text.tokens)


def _ends(chosen: BatchPlan[PendingT], cost: CostModel, limits: BatchLimits) -> bool:
    full = chosen.batch and cost.computed(chosen.load) >= FULL * limits.of(chosen.batch[0])
    return bool(full) or len(chosen.waiting) >= PASSED or chosen.alike >= ALIKE
