"""Compare results with targets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.load import usage
from bench.load.figures import OK, REFUSALS, Figures
from bench.table import mega

# Allowed memory growth from the first third of the run to the last: a share, and bytes.
FLAT, FLAT_BYTES = 0.02, 50_000_000
_MS = 1e3


@dataclass(frozen=True)
class LoadVerdict:
    """The target, the result, and whether the target is met."""

    asked: str
    found: str
    met: bool


def flat_memory(resident: Sequence[int]) -> LoadVerdict:
    """Judge memory growth from samples, in bytes, under constant load."""
    growth = usage.growth(resident)
    gained = growth * resident[0] if resident else 0.0
    asked = f"memory grows by at most {percent(FLAT, 0)} and {mega(FLAT_BYTES)} MB"
    return LoadVerdict(asked, f"{growth * 100:+.1f} %", bool(resident) and growth <= FLAT and gained <= FLAT_BYTES)


def all_answered(loads: Iterable[Figures]) -> LoadVerdict:
    """Judge whether every request got a successful response."""
    planned = bad = 0
    for figures in loads:
        planned += figures.planned
        bad += figures.planned - figures.good
    return LoadVerdict("every request answered", f"{bad:,} of {planned:,} not", not bad)


def refused_well(flooded: Figures) -> LoadVerdict:
    """Judge the responses under overload."""
    silent = sum(refusal.count - refusal.retry_after for refusal in flooded.refused)
    return LoadVerdict(
        f"nothing but {OK} and {' or '.join(REFUSALS)} with Retry-After",
        f"{flooded.faults} others, {silent} refusals without, {flooded.unsent} unsent",
        not flooded.faults and not silent and not flooded.unsent,
    )


def percent(share: float, digits: int = 1) -> str:
    """Format a share as a percentage."""
    return f"{share * 100:.{digits}f} %"


def milliseconds(seconds: float) -> str:
    """Format seconds as milliseconds."""
    return f"{seconds * _MS:,.1f} ms"
