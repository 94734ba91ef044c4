"""Fidelity of a variant's vectors to fp32's, and their rank correlation with human similarity scores."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from server.choose.quality import overlaps

NEIGHBOURS = 10
Rows = NDArray[np.float32]
Numbers = NDArray[np.float64]


class PairsError(ValueError):
    """An invalid file of pairs; the message names the line."""


@dataclass(frozen=True)
class ContenderFidelity:
    """Cosine to fp32 (mean and minimum over the texts), and the share of fp32's nearest neighbours kept."""

    mean: float
    least: float
    overlap: float


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs with human similarity scores."""

    left: list[str]
    right: list[str]
    scores: list[float]


def compare(vectors: Rows, reference: Rows) -> ContenderFidelity:
    """Compare unit vectors [texts, dimension] with fp32's for the same texts."""
    alike = cosine(vectors, reference)
    return ContenderFidelity(float(alike.mean()), float(alike.min()), neighbour_overlap(vectors, reference))


def cosine(left: Rows, right: Rows) -> Numbers:
    """Return the row-wise cosine of two arrays [texts, dimension], in float64."""
    one, other = left.astype(np.float64), right.astype(np.float64)
    products: Numbers = (one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    return products


def neighbour_overlap(vectors: Rows, reference: Rows, count: int = NEIGHBOURS) -> float:
    """Return the mean overlap of each text's `count` nearest neighbours in two arrays of unit vectors."""
    return shared(_nearest(vectors, count), _nearest(reference, count))


def shared(found: NDArray[np.intp], wanted: NDArray[np.intp]) -> float:
    """Return the mean share of each text's `wanted` neighbours that are `found`, both [texts, neighbours]."""
    return float(overlaps(found, wanted).mean())


def spearman(left: Sequence[float] | Numbers, right: Sequence[float] | Numbers) -> float:
    """Return Spearman's rank correlation; ties get their mean rank."""
    return float(np.corrcoef(_ranks(np.asarray(left)), _ranks(np.asarray(right)))[0, 1])


def read_pairs(path: Path) -> Pairs:
    """Read a CSV file of `sentence, sentence, score`, without a header.

    Raises:
        PairsError: the file is unreadable, or a line is not two sentences and a number.
    """
    pairs = Pairs([], [], [])
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.reader(stream), 1):
                _append(pairs, row, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PairsError(f"{path} cannot be read: {error}") from None
    if len(pairs.scores) < 2:
        raise PairsError(f"{path} holds {len(pairs.scores)} pairs; a correlation needs at least 2")
    return pairs


def _append(pairs: Pairs, row: list[str], where: str) -> None:
    try:
        left, right, score = row
        pairs.scores.append(float(score))
    except ValueError:
        raise PairsError(f"{where}: expected sentence, sentence, score; found {len(row)} columns: {row!r}") from None
    pairs.left.append(left)
    pairs.right.append(right)


def _nearest(vectors: Rows, count: int) -> NDArray[np.intp]:
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -np.inf)
    nearest: NDArray[np.intp] = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    return nearest


def _ranks(values: NDArray[np.generic]) -> Numbers:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Numbers = last - (count - 1) / 2
    return mean[place]
