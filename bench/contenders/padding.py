"""What a user of a library that wants a padded batch writes around it: padding, pooling, normalisation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.contenders import Vectors

Padded = NDArray[np.int64]


def pad(sequences: Sequence[Sequence[int]]) -> tuple[Padded, Padded]:
    """Return ids and mask, both [texts, longest], padded on the right with 0."""
    lengths = np.fromiter(map(len, sequences), np.int64)
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.zeros_like(mask)
    ids[mask == 1] = np.concatenate([np.asarray(sequence, np.int64) for sequence in sequences])
    return ids, mask


def check_pooling(pooling: str) -> None:
    """Check that peers can be compared in this pooling.

    Raises:
        ValueError: they are in cls and mean alone.
    """
    if pooling not in ("cls", "mean"):
        raise ValueError(f"the model pools by {pooling}; peers are compared in cls and mean alone")


def pool(hidden: Vectors, mask: Padded, pooling: str) -> Vectors:
    """Reduce hidden states [texts, longest, dimension] to unit vectors [texts, dimension].

    Raises:
        ValueError: the pooling is not one that peers are compared in.
    """
    check_pooling(pooling)
    if pooling == "cls":
        vectors = hidden[:, 0]
    else:
        # One product for each text reads the states once; a multiplication by the mask would write them all first.
        weights = (mask / mask.sum(1, keepdims=True)).astype(np.float32)
        vectors = (weights[:, None, :] @ hidden)[:, 0]
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
