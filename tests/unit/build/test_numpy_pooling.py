"""Dense, LayerNorm and Normalize after pooling, beside torch's."""

import numpy as np
import pytest
import torch

from build import numpy_pooling
from build.known_settings import ACTIVATIONS
from build.layers import DenseLayer, ScaleLayer, UnitLayer

DRAW = np.random.default_rng(3)
VECTOR, WEIGHT, BIAS = (DRAW.normal(size=shape).astype(np.float32) for shape in ((8,), (4, 8), (4,)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_dense_layer(activation: str) -> None:
    made = numpy_pooling.through(VECTOR, [DenseLayer(WEIGHT, BIAS, activation)])
    linear = torch.from_numpy(WEIGHT) @ torch.from_numpy(VECTOR) + torch.from_numpy(BIAS)
    np.testing.assert_allclose(made, getattr(torch.nn, activation)()(linear).numpy(), atol=1e-6)


def test_layer_norm_and_unit_length() -> None:
    scale = DRAW.normal(size=(2, 8)).astype(np.float32)
    norm = torch.nn.functional.layer_norm(*map(torch.from_numpy, (VECTOR,)), (8,), *map(torch.from_numpy, scale))
    made = numpy_pooling.through(VECTOR, [ScaleLayer(*scale), UnitLayer()])
    np.testing.assert_allclose(made, torch.nn.functional.normalize(norm, dim=0).numpy(), atol=1e-6)
