"""Which layers int8 is for, and which it refuses."""

import numpy as np
import pytest

from build.errors import BuildError
from build.quantize.linear import linears
from tests.unit.build.graphs import Exported, packed


def test_layers_of_a_cls_model_in_order(exported: Exported) -> None:
    names = [layer.name for layer in linears(packed(exported("bert"), "cls").graph)]
    assert names[:4] == [
        f"encoder.layer.0.{part}"
        for part in ("attention.self.qkv", "attention.output.dense", "intermediate.dense", "output.dense")
    ]
    assert set(names[4:6]) == {"encoder.layer.1.attention.self.kv", "encoder.layer.1.attention.self.query"}


def test_what_a_layer_reads(exported: Exported) -> None:
    layers = {layer.name.partition("layer.0.")[2]: layer for layer in linears(packed(exported("bert")).graph)}
    assert layers["output.dense"].reads_gelu
    assert layers["attention.output.dense"].reads_attention
    assert not layers["intermediate.dense"].reads_gelu
    assert layers["intermediate.dense"].path == "/encoder/layer.0/intermediate/dense"


def test_numbers_can_be_replaced(exported: Exported) -> None:
    layer = next(linears(packed(exported("bert")).graph))
    layer.set_weight(np.ones((32, 96), np.float32))
    layer.set_bias(np.full(96, 2, np.float32))
    assert layer.weight().sum() == 32 * 96
    assert layer.bias()[5] == 2


def test_must_not_take_a_product_without_a_bias(exported: Exported) -> None:
    model = packed(exported("bert"))
    layer = next(linears(model.graph))
    layer.sum.outputs[0].replace_all_uses_with(layer.product.outputs[0])
    with pytest.raises(BuildError, match="no bias follows"):
        list(linears(model.graph))


def test_must_not_take_a_shared_weight(exported: Exported) -> None:
    model = packed(exported("bert"))
    first, *_, last = (layer for layer in linears(model.graph) if layer.name.endswith(".output.dense"))
    last.product.replace_input_with(1, first.product.inputs[1])
    with pytest.raises(BuildError, match="the weight of several layers"):
        list(linears(model.graph))
