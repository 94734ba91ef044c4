"""The project's own texts, and how alike two sets of vectors are."""

import json

import numpy as np
from numpy.typing import NDArray

from tests.serving import ROOT, Served

Vectors = NDArray[np.float64]


def texts() -> list[str]:
    """Every text of build/data/fidelity.jsonl."""
    lines = (ROOT / "build" / "data" / "fidelity.jsonl").read_text("utf-8").strip().split("\n")
    return [json.loads(line)["text"] for line in lines]


def vectors(served: Served, items: list[str], at_once: int = 60) -> Vectors:
    """Vectors of `items` through a running server, `at_once` texts a request, `[text, dimension]`."""
    rows: list[list[float]] = []
    for start in range(0, len(items), at_once):
        rows += served.embed(items[start : start + at_once])
    return np.array(rows)


def cosine(left: Vectors, right: Vectors) -> Vectors:
    """Cosine of each row with the row of the same number."""
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(1) / norms)


def neighbour_overlap(one: Vectors, other: Vectors, count: int = 10) -> float:
    """Share of each row's `count` nearest other rows that both sets have in common, on average."""
    near = [set(row) for row in _nearest(one, count)]
    return float(np.mean([len(a & set(b)) / count for a, b in zip(near, _nearest(other, count), strict=True)]))


def _nearest(rows: Vectors, count: int) -> list[list[int]]:
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    return [list(map(int, row)) for row in np.argsort(-scores, axis=1)[:, :count]]
