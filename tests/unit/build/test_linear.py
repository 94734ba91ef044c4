"""The layers that int8 quantizes, and those it rejects."""

import numpy as np
import pytest

from build.errors import BuildError
from build.quantize.linear import linears, siblings
from tests.unit.build.graphs import CLS, Exported, packed


def test_layers_of_a_cls_model_in_order(exported: Exported) -> None:
    names = [layer.name for layer in linears(packed(exported("bert"), CLS).graph)]
    parts = [f"attention.self.{part}" for part in ("query", "key", "value")]
    parts += ["attention.output.dense", "intermediate.dense", "output.dense"]
    assert set(names[:3]) == {f"encoder.layer.0.{part}" for part in parts[:3]}
    assert names[3:6] == [f"encoder.layer.0.{part}" for part in parts[3:]]
    assert set(names[6:9]) == {f"encoder.layer.1.{part}" for part in parts[:3]}


def test_siblings_read_the_same_value(exported: Exported) -> None:
    groups = [[layer.name for layer in layers] for layers in siblings(packed(exported("bert"), CLS).graph)]
    assert [len(names) for names in groups[:4]] == [3, 1, 1, 1]
    # In the last layer, keys and values read all tokens, the query only the first.
    assert sorted(len(names) for names in groups[4:]) == [1, 1, 1, 1, 2]


def test_what_a_layer_reads(exported: Exported) -> None:
    layers = {layer.name.partition("layer.0.")[2]: layer for layer in linears(packed(exported("bert")).graph)}
    assert layers["output.dense"].reads_gelu
    assert layers["attention.output.dense"].reads_attention
    assert not layers["intermediate.dense"].reads_gelu
    assert layers["intermediate.dense"].path == "/encoder/layer.0/intermediate/dense"


def test_numbers_can_be_replaced(exported: Exported) -> None:
    layer = next(linears(packed(exported("bert")).graph))
    layer.set_weight(np.ones((32, 32), np.float32))
    layer.set_bias(np.full(32, 2, np.float32))
    assert layer.weight().sum() == 32 * 32
    assert layer.bias()[5] == 2


def test_must_not_invent_a_bias(exported: Exported) -> None:
    layers = {layer.name: layer for layer in linears(packed(exported("bert")).graph)}
    values = layers["encoder.layer.0.attention.self.value"]
    assert values.bias_value is None
    assert values.output is values.product.outputs[0]
    with pytest.raises(BuildError, match=r"no bias follows '/encoder/layer\.0/attention/self/value/MatMul'"):
        values.bias()


def test_must_not_take_a_shared_weight(exported: Exported) -> None:
    model = packed(exported("bert"))
    first, *_, last = (layer for layer in linears(model.graph) if layer.name.endswith(".output.dense"))
    last.product.replace_input_with(1, first.product.inputs[1])
    with pytest.raises(BuildError, match="the weight of several layers"):
        list(linears(model.graph))
