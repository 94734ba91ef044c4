"""The texts of the fidelity tests, and their vectors from a running server."""

import json

import numpy as np
from numpy.typing import NDArray

from tests.serving import ROOT, Served

Vectors = NDArray[np.float32]


def texts() -> list[str]:
    """Return all texts of build/data/fidelity.jsonl."""
    lines = (ROOT / "build" / "data" / "fidelity.jsonl").read_text("utf-8").strip().split("\n")
    return [json.loads(line)["text"] for line in lines]


def vectors(served: Served, items: list[str], at_once: int = 60) -> Vectors:
    """Return the vectors of `items` from a running server, `[text, dimension]`, with `at_once` texts per request."""
    rows: list[list[float]] = []
    for start in range(0, len(items), at_once):
        rows += served.embed(items[start : start + at_once])
    return np.array(rows, np.float32)
