"""Compares what two servers, or a server and the model here, make of the same texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from server.migrate.commands.compare import NEIGHBOURS, compare
from server.verify.agreement import Agreement, agreement, tolerance
from server.verify.embedders import Embeds
from server.verify.store import parsed, shown

KINDS = ("document", "query")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The vectors of one input type: how far they agree, None if their dimensions differ, and the neighbours kept."""

    input_type: str
    agreement: Agreement | None
    neighbours_kept: float


@dataclass(frozen=True, slots=True)
class ServersVerdict:
    """The spaces that both say, and the comparison of each input type."""

    spaces: tuple[str, str]
    dimensions: tuple[int, int]
    comparisons: tuple[Comparison, ...]

    @property
    def agree(self) -> bool:
        """Whether all vectors agree."""
        return all(one.agreement and not one.agreement.differing for one in self.comparisons)

    @property
    def right(self) -> bool:
        """Whether all vectors agree, and neither side says another model than the other."""
        return self.agree and not self.contradicts

    @property
    def contradicts(self) -> bool:
        """Whether the two say different models."""
        first, second = map(parsed, self.spaces)
        return bool(first and second and first.model != second.model)

    def lines(self) -> Iterator[str]:
        """Format the verdict as lines of text."""
        for name, space in zip(("first", "second"), self.spaces, strict=True):
            yield f"{name}: {f'space {shown(space)}' if space else 'says no space'}"
        for one in self.comparisons:
            yield from self._compared(one)
        said = "the same space" if self.right else "NOT the same space"
        yield f"verdict: {said}{', though the vectors agree' if self.agree and not self.right else ''}"

    def _compared(self, one: Comparison) -> Iterator[str]:
        if one.agreement is None:
            yield f"as {one.input_type}: {self.dimensions[0]} and {self.dimensions[1]} dimensions"
        else:
            yield f"as {one.input_type}: {one.agreement.line()}"
            yield f"as {one.input_type}: largest difference of a component {one.agreement.largest:.2e}"
        yield f"as {one.input_type}: {one.neighbours_kept:.1%} of the {NEIGHBOURS} nearest neighbours are the same"


def verify_servers(first: Embeds, second: Embeds, texts: Sequence[str]) -> ServersVerdict:
    """Compare both sides' vectors of `texts`, at least 2, as documents and as queries.

    Raises:
        VerifyError: a side does not answer with vectors.
    """
    names = [f"text {number}" for number in range(1, len(texts) + 1)]
    comparisons = []
    for kind in KINDS:
        one, other = first.embed(texts, kind), second.embed(texts, kind)
        limit = tolerance(parsed(first.space), parsed(second.space))
        near = agreement(names, one, other, limit) if one.shape == other.shape else None
        kept = compare(one, other, names, range(len(names))).overlap
        comparisons.append(Comparison(kind, near, kept))
    dimensions = one.shape[1], other.shape[1]
    return ServersVerdict((first.space, second.space), dimensions, tuple(comparisons))
