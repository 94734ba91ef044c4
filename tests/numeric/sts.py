"""Spearman correlation of cosine similarity with human judgement, on sentence pairs that the project does not ship."""

import csv
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.numeric.sentences import cosine, vectors
from tests.serving import Served

Pair = tuple[str, str, float]


def pairs() -> list[Pair]:
    """The pairs in the file that STS_PAIRS names (csv: sentence, sentence, score), or none."""
    path = Path(os.environ.get("STS_PAIRS") or "/nonexistent")
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [(left, right, float(score)) for left, right, score in csv.reader(stream)]


def spearman(served: Served, judged: list[Pair]) -> float:
    """Rank correlation of a server's cosines with the scores."""
    left = vectors(served, [pair[0] for pair in judged])
    right = vectors(served, [pair[1] for pair in judged])
    scores = np.array([pair[2] for pair in judged])
    return float(np.corrcoef(_ranks(cosine(left, right)), _ranks(scores))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, ties sharing their mean rank."""
    ordered = np.sort(values)
    first, last = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((first + last - 1) / 2)
