"""What was measured, as lines of text and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from server.choose.evaluation import AGREEMENT
from server.choose.interval import Loss
from server.choose.verdict import Cost, MeasuredScheme, is_faster, quickest, within
from server.model.manifest import Precision
from server.text_table import aligned

SHOWN = 24


@dataclass(frozen=True, slots=True)
class ChoiceReport:
    """All results. `best` has the reference's means; `chosen` is None if nothing is within the budget.

    `unseen` is the loss that is possible after so many queries though none shows any.
    """

    model: str
    measure: str
    budget: float
    confidence: float
    texts: int
    queries: int
    held_out: bool
    clear: bool
    measured: Sequence[MeasuredScheme]
    costs: Mapping[Precision, Cost]
    best: Mapping[str, float]
    chosen: MeasuredScheme | None
    unseen: float
    notes: Sequence[str] = field(default=())

    @property
    def shown(self) -> list[MeasuredScheme]:
        """The schemes worth showing, the smallest vector last: those whose loss is nearest to the budget or below."""
        ordered = sorted(
            (one for one in self.measured if not one.reference), key=lambda one: one.losses[self.measure].high
        )
        chosen = [one for one in ordered[:SHOWN] if one.losses[self.measure].low <= 4 * self.budget] or ordered[:5]
        if self.chosen and self.chosen not in chosen:
            chosen.append(self.chosen)
        return sorted(chosen, key=lambda one: (one.scheme.precision, -one.scheme.bytes))

    def json(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            "kind": "choose",
            "model": self.model,
            "measure": self.measure,
            "budget": self.budget,
            "confidence": self.confidence,
            "texts": self.texts,
            "queries": self.queries,
            "queries_are_texts": self.held_out,
            "intervals_clear": self.clear,
            "reference": dict(self.best),
            "precisions": {
                name: {**asdict(cost), "median_texts_per_s": cost.speed} for name, cost in self.costs.items()
            },
            "schemes": [
                {**asdict(one.scheme), "bytes": one.scheme.bytes, "losses": _losses(one)} for one in self.measured
            ],
            "chosen": asdict(self.chosen.scheme) if self.chosen else None,
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Yield the tables and the verdict."""
        kind = "texts held out as queries" if self.held_out else "queries"
        yield f"{self.model}: {self.queries:,} {kind}, {self.texts:,} texts searched"
        yield from (f"note: {note}" for note in self.notes)
        yield ""
        costs = [[name, *_cost(cost)] for name, cost in self.costs.items()]
        yield from aligned([["precision", "texts/s", "least-greatest", "memory MB", "file MB"], *costs])
        yield ""
        others = [name for name in self.best if name != self.measure]
        header = ["scheme", "bytes", f"lost of {self.measure}", f"{self.confidence:g} % interval", *others]
        shown = self.shown
        yield from aligned([header, *(self._row(one, others) for one in shown)])
        if more := sum(not one.reference for one in self.measured) - len(shown):
            yield f"{more} more in report.json"
        yield ""
        yield from self._conclusion()

    def _row(self, one: MeasuredScheme, others: Sequence[str]) -> list[str]:
        loss = one.losses[self.measure]
        mark = "* " if one is self.chosen else ""
        rest = [_kept(self.best[name], one.losses[name]) for name in others]
        interval = f"{loss.low:.2%} to {loss.high:.2%}"
        return [f"{mark}{one.scheme}", f"{one.scheme.bytes:,}", f"{loss.mean:.2%}", interval, *rest]

    def _conclusion(self) -> Iterator[str]:
        if self.chosen is None:
            return
        scheme, loss = self.chosen.scheme, self.chosen.losses[self.measure]
        cost, whole = self.costs[scheme.precision], next(one.scheme.bytes for one in self.measured if one.reference)
        lost = f"{max(loss.mean, 0.0):.2%} of {self.measure}, at most {loss.high:.2%}"
        yield f"chosen: {scheme}. It loses {lost}; the budget is {self.budget * 100:g} %"
        faster = [name for name, other in self.costs.items() if is_faster(other, cost)]
        yield (
            f"why: {self._reason(scheme.precision)} ({cost.speed:,.0f} texts/s), and this is its smallest vector "
            f"within it ({scheme.bytes:,} bytes instead of {whole:,})"
        )
        yield from (f"     {name} is faster, and no vector of it is within the budget" for name in faster)
        if (agreement := self.chosen.losses[AGREEMENT]).mean > self.budget:
            yield (
                f"     beware: it loses {agreement.mean:.1%} of {AGREEMENT}, so queries that are harder than these may "
                "lose more than the budget"
            )
        if not self.clear:
            yield "     intervals of other schemes still contain the budget; more queries would tell them apart"

    def _reason(self, chosen: Precision) -> str:
        """Say why a precision was chosen, by the same tests."""
        quick = quickest(within(self.measured, self.measure, self.budget), self.costs)
        others = [name for name in quick if name != chosen]
        if not others:
            return f"{chosen} is the fastest precision within the budget"
        return (
            f"{chosen} takes the least memory of the fastest precisions within the budget, beside {', '.join(others)}"
        )


def _kept(best: float, loss: Loss) -> str:
    """Format a measure's value with its interval."""
    return f"{best * (1 - loss.mean):.3f} ({best * (1 - loss.high):.3f}-{best * (1 - loss.low):.3f})"


def _losses(one: MeasuredScheme) -> dict[str, dict[str, float]]:
    return {measure: asdict(loss) for measure, loss in one.losses.items()}


def _cost(cost: Cost) -> list[str]:
    reach = f"{min(cost.texts_per_s):,.0f}-{max(cost.texts_per_s):,.0f}"
    return [f"{cost.speed:,.0f}", reach, f"{cost.resident / 1e6:,.0f}", f"{cost.file_bytes / 1e6:,.0f}"]
