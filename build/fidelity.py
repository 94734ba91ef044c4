"""Fidelity of a variant: cosine of its vectors to the fp32 graph's and the source model's."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.progress import track
from server.inference.engine import OnnxEngine, Resources, split
from server.model.manifest import Fidelity, Similarity
from server.system.machine import inference_threads

Vectors = NDArray[np.float32]
# Large enough that runs are not bound by reading the weights.
_BATCH_TOKENS = 1024


def graph_vectors(graph: Path, dimension: int, sequences: list[list[int]], packed: bool, label: str) -> Vectors:
    """Run token sequences through an ONNX graph on CPU with the server's engine; return `[text, dimension]`.

    Raises:
        InferenceError: the graph fails, or its output is not finite unit vectors.
    """
    longest = max(map(len, sequences))
    resources = Resources("cpu", inference_threads(None).count, _BATCH_TOKENS, packed)
    engine = OnnxEngine(graph, dimension, longest, resources)
    out = np.empty((len(sequences), dimension), np.float32)
    for rows in track(_batches(sequences), label):
        out[rows] = engine.embed([sequences[row] for row in rows])
    return out


def cosines(vectors: Vectors, reference: Vectors) -> NDArray[np.float64]:
    """Return the row-wise cosine of two arrays; 0 where a row is zero or not finite."""
    left, right = vectors.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (left * right).sum(1) / norms
    return np.where(np.isfinite(values), values, 0.0)


def similarity(values: NDArray[np.float64]) -> Similarity:
    """Return mean, 1st percentile and minimum of cosines, rounded to float32's precision."""
    mean, low, least = values.mean(), np.percentile(values, 1), values.min()
    return Similarity(mean=round(float(mean), 6), p01=round(float(low), 6), min=round(float(least), 6))


def _batches(sequences: list[list[int]]) -> list[list[int]]:
    return split([len(ids) for ids in sequences], _BATCH_TOKENS)


def line(label: str, measured: Fidelity) -> str:
    """Format one line of the build's report."""
    parts = (("fp32", measured.to_fp32), ("source", measured.to_source))
    return f"  {label}: " + "; ".join(
        f"cosine to {name} mean {s.mean:.6f}, 1st percentile {s.p01:.6f}, min {s.min:.6f}" for name, s in parts
    )
