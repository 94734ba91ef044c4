"""How far two sets of vectors of the same texts agree, and what that says of their space. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.inference.engine import Vectors
from server.model.space import Space

# The least cosine between a text's vectors from two machines, by precision. That of int8 leaves room for older
# builds, whose products saturate on CPUs without VNNI or AMX (docs/quantization.md).
TOLERANCE = {"fp32": 0.9999, "fp16": 0.999, "int8": 0.98, "int8-static": 0.98}
LOOSEST = min(TOLERANCE.values())
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosines of vectors to the same texts' others: the least and the mean, and which rows fall below `tolerance`.

    `largest` is the largest difference of one component; `differing` names the rows, the worst first.
    """

    rows: int
    least: float
    mean: float
    largest: float
    tolerance: float
    differing: tuple[str, ...]

    def line(self) -> str:
        """Format the cosines as a line of text."""
        count = len(self.differing)
        named = f", such as {', '.join(self.differing[:SHOWN])}" if count else ""
        return (
            f"cosine: {self.least:.6f} at least, {self.mean:.6f} on average; {count} of {self.rows} "
            f"({count / self.rows:.1%}) differ (below {self.tolerance:.8g}){named}"
        )


def agreement(names: Sequence[str], first: Vectors, second: Vectors, tolerance: float) -> Agreement:
    """Compare rows of `first` with those of `second`, both [rows, dimension]; `names` names them.

    A row that is not finite, or zero, agrees with nothing.
    """
    near = np.zeros(len(names))
    finite = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    one, other = first[finite].astype(np.float64), second[finite].astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    near[finite] = (one * other).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return judged(names, near, float(np.abs(one - other).max(initial=0.0)), tolerance)


def judged(names: Sequence[str], near: NDArray[np.float64], largest: float, tolerance: float) -> Agreement:
    """Return the agreement of rows by their cosines `near`, and the `largest` difference of a component.

    A cosine that is no number agrees with nothing.
    """
    worst = [row for row in np.argsort(near, kind="stable") if not near[row] >= tolerance]
    return Agreement(
        rows=len(names),
        least=float(near.min()),
        mean=float(near.mean()),
        largest=largest,
        tolerance=tolerance,
        differing=tuple(names[row] for row in worst),
    )


def tolerance(*spaces: Space | None) -> float:
    """Return the least cosine at which vectors of these spaces agree; that of the coarsest where one is not known."""
    return min((TOLERANCE.get(space.number_format, LOOSEST) if space else LOOSEST for space in spaces), default=LOOSEST)
