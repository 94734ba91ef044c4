"""Pooling and the layers after it in numpy, for one text, as sentence-transformers computes them."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from build.layers import DenseLayer, Layer, ScaleLayer
from build.pooling import Pooling
from server.model.manifest import PoolingMode

Floats = NDArray[np.float32]
_SMALLEST = 1e-12
_EPSILON = 1e-5  # torch's default of LayerNorm
_erf = np.vectorize(math.erf, otypes=[np.float64])


def pool(states: Floats, pooling: Pooling, first: int = 0) -> Floats:
    """Pool the states `[token, hidden]` of one text by every mode; the `first` tokens are left out."""
    kept = states[first:].astype(np.float64)
    weights = np.arange(first + 1, len(states) + 1, dtype=np.float64)
    return np.concatenate([_part(mode, kept, weights) for mode in pooling.modes]).astype(np.float32)


def _part(mode: PoolingMode, kept: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    parts: Mapping[PoolingMode, Callable[[], NDArray[np.float64]]] = {
        "cls": lambda: kept[0],
        "max": lambda: kept.max(0),
        "mean": lambda: kept.mean(0),
        "mean_sqrt_len_tokens": lambda: kept.sum(0) / math.sqrt(len(kept)),
        "weightedmean": lambda: weights @ kept / weights.sum(),
        "lasttoken": lambda: kept[-1],
    }
    return parts[mode]()


_ACTIVATIONS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "GELU": lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2,
    "SiLU": lambda x: x / (1 + np.exp(-x)),
}


def through(vector: Floats, layers: Sequence[Layer]) -> Floats:
    """Return the vector after every layer."""
    value = vector.astype(np.float64)
    for layer in layers:
        value = _layer(value, layer)
    return value.astype(np.float32)


def _layer(value: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    if isinstance(layer, DenseLayer):
        product = layer.weight @ value + (0 if layer.bias is None else layer.bias)
        return _ACTIVATIONS[layer.activation](np.asarray(product))
    if isinstance(layer, ScaleLayer):
        scaled: NDArray[np.float64] = (value - value.mean()) / np.sqrt(value.var() + _EPSILON)
        return scaled * layer.weight + layer.bias
    return value / max(float(np.linalg.norm(value)), _SMALLEST)
