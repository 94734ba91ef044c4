"""Packing: real tokens only; nodes that may mix tokens are rejected."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.pack_tokens import PackTokensPass
from build.pooling import Pooling
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import ARCHITECTURES, CLS, MEAN, SIDE_BY_SIDE, Exported, before, count, texts


@pytest.mark.parametrize("pooling", [CLS, MEAN, SIDE_BY_SIDE], ids=lambda pooling: pooling.name)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_structure_and_numbers(exported: Exported, run: Run, architecture: str, pooling: Pooling) -> None:
    padded, packed = (before(exported(architecture), "pack-tokens", pooling) for _ in range(2))
    assert apply(packed, [PackTokensPass()]) == ["pack-tokens"]
    assert count(packed.graph)["Loop"] == 2
    sequences = texts(5, 1, 12, 7, 7)
    np.testing.assert_allclose(run(packed, sequences), run(padded, sequences), atol=1e-6)


@pytest.mark.parametrize(("lengths", "rows"), [([5, 1, 12], 18), ([7, 7], 14), ([1], 1)])
def test_linear_layers_see_real_tokens_only(exported: Exported, run: Run, lengths: list[int], rows: int) -> None:
    model = before(exported("bert"), "pack-tokens")
    apply(model, [PackTokensPass()])
    inner = next(node for node in model.graph if node.name == "/encoder/layer.0/intermediate/dense/MatMul").outputs[0]
    inner.type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs[:] = [inner]
    assert run(model, texts(*lengths)).shape == (rows, 64)


def test_must_not_fire_without_fused_attention(exported: Exported) -> None:
    with pytest.raises(ir.passes.PreconditionError, match="no attention is fused"):
        apply(before(exported("bert"), "fuse-attention"), [PackTokensPass()])


def _softmax_for_gelu(graph: ir.Graph) -> None:
    gelu = next(node for node in graph if node.op_type == "Gelu")
    gelu.op_type, gelu.domain = "Softmax", ""


def _bias_by_token(graph: ir.Graph) -> None:
    bias = graph.initializers["encoder.layer.0.output.dense.bias"]
    bias.const_value = ir.tensor(np.zeros((1, 12, 32), np.float32), name=bias.name)


def _second_reader(graph: ir.Graph) -> None:
    hidden = next(node for node in graph if node.op_type == "LayerNormalization").outputs[0]
    reader = ir.node("ReduceMax", [hidden], name="/reader")
    graph.append(reader)
    total = graph.outputs[0].producer()
    graph.append(ir.node("Add", [total.outputs[0], reader.outputs[0]], name="/sum"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_softmax_for_gelu, "Softmax '/encoder/layer.0/intermediate/Gelu' is not known to work token by token"),
        (_bias_by_token, "takes a constant that differs from token to token"),
        (_second_reader, "ReduceMax '/reader' reads tokens"),
    ],
)
def test_must_not_fire(exported: Exported, spoil: Callable[[ir.Graph], None], message: str) -> None:
    model = before(exported("bert"), "pack-tokens")
    spoil(model.graph)
    with pytest.raises(UnsupportedGraphError, match=message):
        apply(model, [PackTokensPass()])
