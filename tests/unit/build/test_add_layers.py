"""Layers after pooling compute what torch computes, packed or not, and stay in fp32."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from build.known_settings import ACTIVATIONS
from build.layers import DenseLayer, Layer, ScaleLayer, UnitLayer
from build.passes import apply
from build.passes.add_layers import AddLayersPass
from build.passes.graph import LAYERS
from build.passes.halve_floats import HalveFloatsPass
from build.passes.packing import cuda_passes, packing_passes
from build.passes.stand_in import StandInPass
from build.pooling import Pooling
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import CLS, MEAN, Exported, plain, texts

SEQUENCES = texts(5, 1, 12, 7)
DRAW = np.random.default_rng(4)


def random(*shape: int) -> NDArray[np.float32]:
    return DRAW.normal(size=shape).astype(np.float32)


def by_torch(layers: list[Layer], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    value = torch.from_numpy(vectors)
    for layer in layers:
        if isinstance(layer, DenseLayer):
            bias = None if layer.bias is None else torch.from_numpy(layer.bias)
            activation = getattr(nn, layer.activation)()
            value = activation(nn.functional.linear(value, torch.from_numpy(layer.weight), bias))
        elif isinstance(layer, ScaleLayer):
            weight, bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
            value = nn.functional.layer_norm(value, [weight.shape[0]], weight, bias)
        else:
            value = nn.functional.normalize(value)
    return np.asarray(nn.functional.normalize(value).numpy())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numbers(exported: Exported, run: Run, activation: str) -> None:
    # A first normalisation makes the vector before the others the graph's own output.
    layers: list[Layer] = [
        UnitLayer(),
        DenseLayer(random(24, 32), random(24), activation),
        ScaleLayer(random(24), random(24)),
        DenseLayer(random(16, 24), None, activation),
    ]
    model = plain(exported("bert"))
    assert apply(model, [AddLayersPass(layers)]) == ["add-layers"]
    expected = by_torch(layers, run(plain(exported("bert")), SEQUENCES))
    np.testing.assert_allclose(run(model, SEQUENCES), expected, atol=1e-6)
    assert list(model.graph.outputs[0].shape)[1] == 16


@pytest.mark.parametrize("pooling", [CLS, MEAN], ids=lambda pooling: pooling.name)
def test_packed_and_halved_graphs_keep_them_in_fp32(exported: Exported, run: Run, pooling: Pooling) -> None:
    layers: list[Layer] = [DenseLayer(random(24, 32), random(24), "GELU"), DenseLayer(random(24, 24), None, "GELU")]
    model = plain(exported("bert"), pooling)
    apply(model, [AddLayersPass(layers)])
    vectors = run(model, SEQUENCES)
    packed, half = model.clone(), model.clone()
    apply(packed, packing_passes(pooling))
    apply(half, [*cuda_passes(pooling), HalveFloatsPass()])
    assert {value.const_value.dtype for value in _weights(half)} == {ir.DataType.FLOAT}
    apply(half, [StandInPass()])
    np.testing.assert_allclose(run(packed, SEQUENCES), vectors, atol=1e-6)
    assert ((run(half, SEQUENCES) * vectors).sum(1) >= 0.9999).all()


def _weights(model: ir.Model) -> list[ir.Value]:
    path = LAYERS.strip("/")
    return [value for name, value in model.graph.initializers.items() if name.startswith(path)]


def test_must_not_fire_twice(exported: Exported) -> None:
    model = plain(exported("bert"))
    apply(model, [AddLayersPass([UnitLayer()])])
    with pytest.raises(ir.passes.PreconditionError, match="has such layers already"):
        apply(model, [AddLayersPass([UnitLayer()])])
