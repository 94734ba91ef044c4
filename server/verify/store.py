"""Holds the vectors of a store or file to its own texts, embedded again."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.inference.engine import Vectors
from server.migrate.commands.compare import draw
from server.migrate.commands.open_stored import open_stored
from server.model import space
from server.model.output_types import COMPONENTS_PER_BYTE, FLOAT
from server.model.space import Space
from server.model.stored_codes import are_codes, closeness, least_closeness, nearest
from server.secret import mask
from server.service.blank_text import has_visible
from server.service.embed_request import cut
from server.service.output import Output
from server.verify.agreement import SHOWN, Agreement, agreement, judged, tolerance
from server.verify.embedders import Embeds
from server.verify.errors import VerifyError


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of a store: ids, texts and vectors [rows, width], their type, and the id of the space that it claims."""

    ids: list[str]
    texts: list[str]
    vectors: NDArray[Any]
    output: Output
    claims: str

    @property
    def dimension(self) -> int:
        """The number of components of a vector."""
        width = int(self.vectors.shape[1])
        return width * COMPONENTS_PER_BYTE if self.output.kind.packed else width


@dataclass(frozen=True, slots=True)
class StoreVerdict:
    """What was found: the ids of the spaces that are claimed and that embedded again, and how far vectors agree.

    `no_codes` are the ids of rows with numbers that are no codes of `output_dtype`; they agree with nothing.
    """

    claimed: str
    found: str
    agreement: Agreement
    dimension: int
    cut: bool
    output_dtype: str = FLOAT.name
    no_codes: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether all vectors agree, and the store claims nothing else."""
        return not self.agreement.differing and not self.contradicts

    @property
    def contradicts(self) -> bool:
        """Whether another model is claimed than the one that embedded again."""
        claimed, found = parsed(self.claimed), parsed(self.found)
        return bool(self.claimed) and (claimed is None or (found is not None and claimed.model != found.model))

    def lines(self) -> Iterator[str]:
        """Format the verdict as lines of text."""
        yield f"claims the space {shown(self.claimed)}" if self.claimed else "claims no space"
        yield f"embedded again in the space {shown(self.found) if self.found else 'of a server that does not say it'}"
        if self.cut:
            yield f"vectors are cut to {self.dimension} dimensions"
        if self.output_dtype != FLOAT.name:
            yield f"vectors are stored as {self.output_dtype}: the cosine is that of the nearest they can stand for"
        if self.no_codes:
            shown_ids = ", ".join(self.no_codes[:SHOWN])
            yield f"{len(self.no_codes)} hold numbers that are no codes of {self.output_dtype}, such as {shown_ids}"
        yield self.agreement.line()
        yield f"verdict: {self._verdict()}"

    def _verdict(self) -> str:
        if self.agreement.differing:
            return "the vectors are NOT all of that space, or were embedded with another prompt (--input-type)"
        if self.contradicts:
            return "the vectors agree, but another space is claimed"
        claimed, found = parsed(self.claimed), parsed(self.found)
        if claimed and found and claimed != found:
            return f"the vectors are of the space {claimed.model}, at the accuracy of the coarser precision"
        return f"the vectors are of the space {shown(self.found)}"


def verify_store(where: str, embeds: Embeds, size: int, input_type: str) -> StoreVerdict:
    """Compare the vectors of a sample of `size` rows of `where` with their texts embedded again.

    Raises:
        VerifyError: there are no rows, no texts, or vectors of a size that the model does not have.
        MigrateError: the store cannot be read.
    """
    drawn = sample(where, size)
    again = embeds.embed(drawn.texts, input_type)
    dimension, whole = drawn.dimension, again.shape[1]
    if dimension > whole:
        raise VerifyError(f"{mask(where)} holds vectors of {dimension} dimensions, {embeds} gives {whole}")
    limit = tolerance(parsed(drawn.claims), parsed(embeds.space))
    kind, again = drawn.output.kind, cut(again, dimension, normalize=True)
    if not (kind.scaled or kind.packed):
        found = agreement(drawn.ids, drawn.vectors.astype(np.float32, copy=False), again, limit)
        return StoreVerdict(drawn.claims, embeds.space, found, dimension, dimension < whole, kind.name)
    coded = are_codes(drawn.vectors, kind)
    found = code_agreement(drawn, again, coded, limit)
    none = tuple(drawn.ids[row] for row in np.flatnonzero(~coded))
    return StoreVerdict(drawn.claims, embeds.space, found, dimension, dimension < whole, kind.name, none)


def code_agreement(drawn: Sample, again: Vectors, coded: NDArray[np.bool_], limit: float) -> Agreement:
    """Compare codes with vectors `again`, [rows, dimension], which need not have unit length; `limit` is a cosine.

    Rows that are not `coded`, and those whose vector `again` is not finite or zero, agree with nothing.
    """
    kind, scale = drawn.output.kind, drawn.output.limit
    norms = np.linalg.norm(again.astype(np.float64), axis=1)
    sound = coded & np.isfinite(norms) & (norms > 0)
    units = (again[sound] / norms[sound, None]).astype(np.float32)
    near = np.zeros(len(drawn.ids))
    near[sound] = closeness(drawn.vectors[sound], units, kind, scale)
    away = nearest(drawn.vectors[sound], units, kind, scale) - units
    return judged(drawn.ids, near, float(np.abs(away).max(initial=0.0)), least_closeness(kind, limit))


def sample(where: str, size: int) -> Sample:
    """Draw rows that have a text, uniformly, in memory for `size` of them.

    Raises:
        VerifyError: there are none.
        MigrateError: the store cannot be read.
    """
    with closing(open_stored(where)) as stored:
        ids = draw(stored.ids(), size)
        if not ids:
            raise VerifyError(f"{mask(where)} is empty: there is nothing to verify")
        texts, vectors, claims, output = stored.texts(ids), stored.vectors(ids), stored.space(), stored.output()
    kept = [id_ for id_ in ids if id_ in vectors and has_visible(texts.get(id_, ""))]
    if not kept:
        raise VerifyError(f"{mask(where)} stores no texts, so nothing can be embedded again; verify a copy with texts")
    if len({vectors[id_].shape for id_ in kept}) > 1:
        raise VerifyError(f"{mask(where)} holds vectors of several dimensions")
    return Sample(kept, [texts[id_] for id_ in kept], np.stack([vectors[id_] for id_ in kept]), output, claims)


def parsed(text: str) -> Space | None:
    """Parse the id of a space; None if it is none."""
    try:
        return space.parse(text)
    except ValueError:
        return None


def shown(claimed: str) -> str:
    """Format an id that a store or server gives, which may hold anything."""
    return claimed if parsed(claimed) else f"{claimed[:80]!a} (not an id)"
