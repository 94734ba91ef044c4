"""What a search finds, query by query, beside what float32 vectors in fp32 find or what is relevant. Pure.

nDCG is that of Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques" (2002), with linear
gains, as in trec_eval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.inference.engine import Vectors

NEAR, FAR = 10, 100
# The reference's ranks that are needed: the first text beyond FAR grades the others.
NEEDED = FAR + 1
QUERIES_AT_ONCE = 256
Places = NDArray[np.intp]
Numbers = NDArray[np.float64]
# The grade of each relevant text of a query, by its place in the corpus.
Relevance = Sequence[Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest texts of each query, the nearest first, [queries, NEEDED], and their cosines."""

    places: Places
    cosines: Vectors


def search(queries: Vectors, corpus: Vectors) -> Nearest:
    """Find the NEEDED nearest of `corpus`, [texts, dimensions], for each of `queries`; of equals, the earlier one."""
    parts = [
        _search(queries[start : start + QUERIES_AT_ONCE], corpus) for start in range(0, len(queries), QUERIES_AT_ONCE)
    ]
    return Nearest(np.concatenate([part.places for part in parts]), np.concatenate([part.cosines for part in parts]))


def _search(queries: Vectors, corpus: Vectors) -> Nearest:
    cosines = queries @ corpus.T
    near = np.sort(np.argpartition(-cosines, NEEDED - 1, axis=1)[:, :NEEDED], axis=1)
    cosines = np.take_along_axis(cosines, near, 1)
    order = np.argsort(-cosines, axis=1, kind="stable")
    return Nearest(np.take_along_axis(near, order, 1), np.take_along_axis(cosines, order, 1))


def overlaps(places: Places, wanted: Places) -> Numbers:
    """Return the share of each row's `wanted` that are among `places`, both [rows, places], without repetitions."""
    shares: Numbers = (places[:, :, None] == wanted[:, None, :]).any(1).mean(1)
    return shares


def agreement(places: Places, reference: Nearest) -> Numbers:
    """Return nDCG at NEAR of each query, graded by the reference's own cosines.

    The grade of a text is how far its cosine exceeds that of the first text beyond FAR. So two texts that the reference
    finds about equally near may change places at little cost, and a lost near text costs much.
    """
    floor = reference.cosines[:, -1:]
    grades = np.maximum(reference.cosines - floor, 0).astype(np.float64)
    ideal = _gain(grades[:, :NEAR])
    known = places[:, :NEAR, None] == reference.places[:, None, :]
    gains = (known * grades[:, None, :]).sum(2)
    return _ratio(_gain(gains), ideal)


def ndcg(places: Places, relevance: Relevance) -> Numbers:
    """Return nDCG at NEAR of each query by the grades of its relevant texts."""
    gains = np.zeros((len(places), NEAR))
    ideal = np.zeros((len(places), NEAR))
    for row, (own, grades) in enumerate(zip(places[:, :NEAR], relevance, strict=True)):
        gains[row] = [grades.get(place, 0.0) for place in own.tolist()]
        best = sorted(grades.values(), reverse=True)[:NEAR]
        ideal[row, : len(best)] = best
    return _ratio(_gain(gains), _gain(ideal))


def recall(places: Places, relevance: Relevance) -> Numbers:
    """Return the share of each query's relevant texts among the FAR nearest."""
    pairs = zip(places[:, :FAR].tolist(), relevance, strict=True)
    return np.array([len(grades.keys() & set(own)) / len(grades) for own, grades in pairs])


def _gain(grades: Numbers) -> Numbers:
    gained: Numbers = grades @ (1 / np.log2(np.arange(2, NEAR + 2)))
    return gained


def _ratio(gained: Numbers, ideal: Numbers) -> Numbers:
    """Return the ratio; 1 where there is nothing to gain, as among texts that are all equally near."""
    return np.where(ideal > 1e-6, gained / np.maximum(ideal, 1e-6), 1.0)
