"""Measures every scheme on the vectors that are computed, and judges whether more queries are needed. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from server.choose import quality
from server.choose.errors import ChooseError
from server.choose.interval import losses, unseen
from server.choose.quality import FAR, NEAR, Nearest, Numbers, Places, Relevance
from server.choose.schemes import REFERENCE, VectorScheme, is_reference
from server.choose.verdict import MeasuredScheme
from server.inference.engine import Vectors
from server.model.manifest import Precision

AGREEMENT, KEPT_NEAR, KEPT_FAR = "agreement", f"kept@{NEAR}", f"kept@{FAR}"
NDCG, RECALL = f"nDCG@{NEAR}", f"recall@{FAR}"
MEASURES = (AGREEMENT, KEPT_NEAR, KEPT_FAR, NDCG, RECALL)
OF_RELEVANCE = (NDCG, RECALL)
# What a query may lose though no other did: one of ten neighbours, or its only relevant text and so everything.
STEPS = {AGREEMENT: 0.1, KEPT_NEAR: 0.1, KEPT_FAR: 0.1, NDCG: 1.0, RECALL: 1.0}


class Split(NamedTuple):
    """Vectors in one precision: of the texts that are searched, and of the queries, both [rows, dimension]."""

    texts: Vectors
    queries: Vectors


def evaluate(
    vectors: Mapping[Precision, Split], asked: Sequence[VectorScheme], relevance: Relevance, planned: int
) -> tuple[list[MeasuredScheme], dict[str, float], dict[str, float]]:
    """Return the losses of each scheme by every measure, the reference's own mean of each, and the loss not seen.

    `planned` is the number of looks that the intervals allow for.

    Raises:
        ChooseError: the reference finds nothing that is relevant.
    """
    exact = quality.search(vectors[REFERENCE].queries, vectors[REFERENCE].texts)
    best = _scores(exact.places, exact, relevance)
    if relevance and not best[NDCG].any():
        raise ChooseError(
            "fp32 finds no relevant text among the first ten of any query: do ids and texts belong together?"
        )
    scores = [_scores(_search(scheme, vectors[scheme.precision]), exact, relevance) for scheme in asked]
    by_measure = {
        measure: losses(np.stack([one[measure] for one in scores]), own, planned, STEPS[measure])
        for measure, own in best.items()
    }
    dimension = vectors[REFERENCE].texts.shape[1]
    measured = [
        MeasuredScheme(
            scheme, {measure: all_[place] for measure, all_ in by_measure.items()}, is_reference(scheme, dimension)
        )
        for place, scheme in enumerate(asked)
    ]
    means = {measure: float(own.mean()) for measure, own in best.items()}
    return measured, means, {measure: unseen(own, planned, STEPS[measure]) for measure, own in best.items()}


def _search(scheme: VectorScheme, vectors: Split) -> Places:
    return quality.search(scheme.encode(vectors.queries), scheme.encode(vectors.texts)).places


def _scores(places: Places, exact: Nearest, relevance: Relevance) -> dict[str, Numbers]:
    scores = {
        AGREEMENT: quality.agreement(places, exact),
        KEPT_NEAR: quality.overlaps(places[:, :NEAR], exact.places[:, :NEAR]),
        KEPT_FAR: quality.overlaps(places[:, :FAR], exact.places[:, :FAR]),
    }
    if relevance:
        scores |= {NDCG: quality.ndcg(places, relevance), RECALL: quality.recall(places, relevance)}
    return scores
