"""Which scheme is the cheapest within the budget: the fastest precision, then its smallest vector. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.choose.interval import Loss
from server.choose.schemes import VectorScheme
from server.model.manifest import Precision

# Speeds that differ by less are equal: turns on one machine vary as much.
ALIKE = 0.03


@dataclass(frozen=True, slots=True)
class Cost:
    """What computing in a precision costs: texts a second in each round, the process's memory, the graph's file."""

    texts_per_s: tuple[float, ...]
    resident: int
    file_bytes: int

    @property
    def speed(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.texts_per_s)


@dataclass(frozen=True, slots=True)
class MeasuredScheme:
    """A scheme with its losses, by measure. `reference`: it is the one that the others are compared with."""

    scheme: VectorScheme
    losses: Mapping[str, Loss]
    reference: bool = False


def is_faster(one: Cost, other: Cost) -> bool:
    """Return whether `one` is faster than `other` by more than turns on one machine vary."""
    return other.speed < one.speed * (1 - ALIKE)


def within(measured: Sequence[MeasuredScheme], measure: str, budget: float) -> list[MeasuredScheme]:
    """Return the schemes whose loss is within the budget even at the worse end of its interval."""
    return [one for one in measured if not one.reference and one.losses[measure].high <= budget]


def choose(
    measured: Sequence[MeasuredScheme], costs: Mapping[Precision, Cost], measure: str, budget: float
) -> MeasuredScheme | None:
    """Return the cheapest scheme within the budget; None if only the reference is.

    The fastest precision that has one comes first, of equally fast ones the one that takes less memory. Of its schemes
    within the budget it is the one of the fewest bytes, of equals the one that loses least.
    """
    possible = within(measured, measure, budget)
    if not possible:
        return None
    precision = min(quickest(possible, costs), key=lambda name: (costs[name].resident, name))
    own = [one for one in possible if one.scheme.precision == precision]
    return min(own, key=lambda one: (one.scheme.bytes, one.losses[measure].mean))


def quickest(possible: Sequence[MeasuredScheme], costs: Mapping[Precision, Cost]) -> list[Precision]:
    """Return the fastest precision of these schemes, and those that are about as fast, by name."""
    able = sorted({one.scheme.precision for one in possible})
    fastest = max((costs[name] for name in able), key=lambda cost: cost.speed)
    return [name for name in able if not is_faster(fastest, costs[name])]


def nearest(measured: Sequence[MeasuredScheme], measure: str) -> MeasuredScheme:
    """Return the scheme, beside the reference, whose loss is the least at the worse end."""
    return min((one for one in measured if not one.reference), key=lambda one: one.losses[measure].high)
