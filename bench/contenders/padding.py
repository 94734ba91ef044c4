"""Padding, pooling and normalisation for libraries that leave these to the user."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.contenders import Task, Vectors

Padded = NDArray[np.int64]


def pad(sequences: Sequence[Sequence[int]]) -> tuple[Padded, Padded]:
    """Return ids and attention mask, both [texts, longest], right-padded with 0."""
    lengths = np.fromiter(map(len, sequences), np.int64)
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.zeros_like(mask)
    ids[mask == 1] = np.concatenate([np.asarray(sequence, np.int64) for sequence in sequences])
    return ids, mask


def check_comparable(task: Task) -> None:
    """Check that libraries without sentence-transformers' modules can compute this model's vectors.

    Raises:
        ValueError: it pools by other than cls or mean, or has layers after pooling.
    """
    if task.pooling not in ("cls", "mean"):
        raise ValueError(f"the model pools by {task.pooling}; this peer is compared in cls and mean alone")
    if task.layers:
        raise ValueError("the model has layers after pooling, which this peer does not compute")


def pool(hidden: Vectors, mask: Padded, pooling: str) -> Vectors:
    """Reduce hidden states [texts, longest, dimension] to unit vectors [texts, dimension], by cls or mean."""
    if pooling == "cls":
        vectors = hidden[:, 0]
    else:
        # A matrix product per text reads the states once; multiplying by the mask would write a copy of them.
        weights = (mask / mask.sum(1, keepdims=True)).astype(np.float32)
        vectors = (weights[:, None, :] @ hidden)[:, 0]
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
