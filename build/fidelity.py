"""How faithful a variant is: cosine of its vectors to the fp32 graph's and to the source model's."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.progress import track
from server.inference.engine import OnnxEngine, Resources, split
from server.model.manifest import Fidelity, Similarity
from server.system.machine import inference_threads

Vectors = NDArray[np.float32]
# Large enough that a run does not spend its time on reading all weights.
_BATCH_TOKENS = 1024


def graph_vectors(graph: Path, dimension: int, sequences: list[list[int]], packed: bool, label: str) -> Vectors:
    """Vectors `[text, dimension]` of token sequences through an ONNX graph on CPU, by the server's own engine.

    Raises:
        InferenceError: the graph gives other than finite unit vectors, or fails.
    """
    longest = max(map(len, sequences))
    resources = Resources("cpu", inference_threads(None).count, _BATCH_TOKENS, packed)
    engine = OnnxEngine(graph, dimension, longest, resources)
    out = np.empty((len(sequences), dimension), np.float32)
    for rows in track(_batches(sequences), label):
        out[rows] = engine.embed([sequences[row] for row in rows])
    return out


def cosines(vectors: Vectors, reference: Vectors) -> NDArray[np.float64]:
    """The cosine of each row to the same row of the reference; 0 where one of them has no direction."""
    left, right = vectors.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (left * right).sum(1) / norms
    return np.where(np.isfinite(found), found, 0.0)


def similarity(found: NDArray[np.float64]) -> Similarity:
    """Mean, 1st percentile and minimum of cosines, rounded to what float32 can tell."""
    mean, low, least = found.mean(), np.percentile(found, 1), found.min()
    return Similarity(mean=round(float(mean), 6), p01=round(float(low), 6), min=round(float(least), 6))


def _batches(sequences: list[list[int]]) -> list[list[int]]:
    return split([len(ids) for ids in sequences], _BATCH_TOKENS)


def line(label: str, found: Fidelity) -> str:
    """One line of the build's report."""
    parts = (("fp32", found.to_fp32), ("source", found.to_source))
    return f"  {label}: " + "; ".join(
        f"cosine to {name} mean {s.mean:.6f}, 1st percentile {s.p01:.6f}, min {s.min:.6f}" for name, s in parts
    )
