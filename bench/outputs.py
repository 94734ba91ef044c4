"""`python -m bench outputs`: what each output type keeps of float32, beside float32 cut to the same bytes."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import fidelity, host, progress
from bench.contenders import variant
from bench.fidelity import NEIGHBOURS, Numbers, Pairs, Rows
from bench.subject import BenchSubject
from bench.table import ABSENT, Table, number
from server.inference.engine import split
from server.model.output_types import TYPES, OutputName, convert
from server.model.stored_codes import decode
from server.service.embed_request import cut

RESCORED = 100
Encoder = Callable[[Rows], Rows]


@dataclass(frozen=True)
class OutputScheme:
    """A way to store vectors: from float32 rows to rows as they are compared, and the bytes of one."""

    name: str
    size: int
    encode: Encoder


@dataclass(frozen=True)
class Kept:
    """What a scheme keeps: Spearman's correlation on the pairs, and shares of float32's nearest neighbours.

    `rescored` is the share after the nearest RESCORED by the scheme were ordered by their float32 cosines.
    """

    size: int
    spearman: float | None
    neighbours: float
    rescored: float


@dataclass
class Outputs:
    """The results, by scheme."""

    subject: BenchSubject
    precision: str
    host: dict[str, object]
    corpus: int
    pairs: int
    kept: dict[str, Kept]
    skipped: dict[str, str] = field(default_factory=dict)

    def heading(self) -> str:
        """Name the model, the data and the machine."""
        data = f"{self.subject.manifest.name}, {self.precision}: {self.corpus} texts, {self.pairs} pairs"
        return f"{data}\n{host.line(self.host, self.subject.threads)}"

    def tables(self) -> list[Table]:
        """Return one row for each scheme."""
        header = ("output", "bytes", "Spearman", f"neighbours at {NEIGHBOURS} kept", f"rescored from {RESCORED}")
        rows = [
            [
                name,
                number(kept.size),
                ABSENT if kept.spearman is None else number(kept.spearman, 4),
                number(kept.neighbours, 3),
                number(kept.rescored, 3),
            ]
            for name, kept in self.kept.items()
        ]
        return [Table("What each output type keeps of float32", header, rows)]

    def json(self) -> dict[str, object]:
        """Return all figures."""
        kept: dict[str, Any] = {name: asdict(figures) for name, figures in self.kept.items()}
        measured = {"precision": self.precision, "texts": self.corpus, "pairs": self.pairs, "outputs": kept}
        return {"kind": "outputs", "machine": self.host, **self.subject.json(), **measured}


def measure(subject: BenchSubject, precision: str, sample: list[str], pairs: Pairs | None) -> Outputs:
    """Embed the texts of `sample` and of the pairs in `precision`, and compare what each type keeps.

    Raises:
        ValueError: the model was built without int8's ranges, or there are too few texts to have neighbours.
    """
    if subject.manifest.int8_range(1) is None:
        raise ValueError(f"{subject.manifest.name} was built without int8's ranges; build it again")
    corpus = list(dict.fromkeys(sample + (pairs.left + pairs.right if pairs else [])))
    if len(corpus) <= RESCORED:
        raise ValueError(f"{len(corpus)} texts; more than {RESCORED} are needed")
    with progress.step(f"vectors of {len(corpus)} texts"):
        vectors = _embed(subject, precision, corpus)
    places = {text: place for place, text in enumerate(corpus)}
    sides = [vectors[[places[text] for text in side]] for side in (pairs.left, pairs.right)] if pairs else []
    kept = {}
    for scheme in schemes(subject.manifest.dimension, subject.manifest.int8_range):
        spearman = _spearman(scheme, sides, pairs) if pairs else None
        kept[scheme.name] = Kept(scheme.size, spearman, *neighbours(scheme, vectors))
    return Outputs(subject, precision, host.describe(), len(corpus), len(pairs.left) if pairs else 0, kept)


def schemes(dimension: int, int8_range: Callable[[int], float | None]) -> list[OutputScheme]:
    """Return every type, whole and cut, and float32 cut to the same bytes; rows are compared by their cosine."""

    def typed(name: OutputName, dimensions: int = dimension) -> OutputScheme:
        kind, limit = TYPES[name], int8_range(dimensions) or 1.0
        title = name if dimensions == dimension else f"{name}, {dimensions} dimensions"

        def encode(rows: Rows) -> Rows:
            kept = convert(cut(rows, dimensions, normalize=True), kind, limit)
            return decode(kept, kind)

        return OutputScheme(title, kind.bytes_of(dimensions), encode)

    half = dimension // 16 * 8
    return [
        typed("float"),
        typed("float16"),
        typed("float", dimension // 2),
        typed("int8"),
        typed("uint8"),
        OutputScheme("int8, a range for each component", dimension, _per_component),
        typed("float", dimension // 4),
        typed("int8", half),
        typed("binary"),
        typed("float", dimension // 32),
    ]


def _per_component(rows: Rows) -> Rows:
    """Return codes as sentence-transformers calibrates them, from these rows themselves, clipped to their range."""
    low, high = rows.min(0), rows.max(0)
    codes: Rows = np.clip(np.floor((rows - low) / ((high - low) / 255)), 0, 255) - 128
    return codes


def neighbours(scheme: OutputScheme, vectors: Rows) -> tuple[float, float]:
    """Return the shares of float32's nearest neighbours that a scheme keeps, alone and rescored."""
    exact = _cosines(vectors)
    candidates = _nearest(_cosines(scheme.encode(vectors)), RESCORED)
    wanted = _nearest(exact, NEIGHBOURS)
    rescored = np.take_along_axis(candidates, _order(np.take_along_axis(exact, candidates, 1))[:, :NEIGHBOURS], 1)
    return fidelity.shared(candidates[:, :NEIGHBOURS], wanted), fidelity.shared(rescored, wanted)


def _cosines(rows: Rows) -> Rows:
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    alike: Rows = (unit @ unit.T).astype(np.float32)
    np.fill_diagonal(alike, -np.inf)
    return alike


def _order(alike: Rows) -> NDArray[np.intp]:
    return np.argsort(-alike, axis=1, kind="stable")


def _nearest(alike: Rows, count: int) -> NDArray[np.intp]:
    nearest: NDArray[np.intp] = _order(alike)[:, :count]
    return nearest


def _spearman(scheme: OutputScheme, sides: Sequence[Rows], pairs: Pairs) -> float:
    left, right = np.split(scheme.encode(np.concatenate(sides)), 2)
    alike: Numbers = fidelity.cosine(left, right)
    return fidelity.spearman(alike, pairs.scores)


def _embed(subject: BenchSubject, precision: str, texts: list[str]) -> Rows:
    engine = variant.load(subject.task(precision))
    sequences = subject.encode(texts)
    rows = np.empty((len(texts), subject.manifest.dimension), np.float32)
    for places in split([len(ids) for ids in sequences], subject.batch_tokens):
        rows[places] = engine.run([sequences[place] for place in places])
    return rows
