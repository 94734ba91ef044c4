"""Key and value biases: one cancels, the other moves to the output projection."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.fold_attention_biases import FoldAttentionBiasesPass
from build.pooling import Pooling
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import BIASED, CLS, MEAN, Exported, before, count, texts

BIASES = [f"encoder.layer.0.attention.self.{part}.bias" for part in ("query", "key", "value")]


def unfolded(exported: Exported, architecture: str, pooling: Pooling = MEAN) -> ir.Model:
    """Return the graph before the pass, with non-zero biases, as in a trained model."""
    model = before(exported(architecture), "fold-attention-biases", pooling)
    draw = np.random.default_rng(0)
    for value in model.graph.initializers.values():
        if value.name.endswith(".bias") and "orm" not in value.name:
            numbers = draw.normal(0, 0.5, value.const_value.shape.numpy()).astype(np.float32)
            value.const_value = ir.tensor(numbers, name=value.name)
    return model


@pytest.mark.parametrize("pooling", [CLS, MEAN], ids=lambda pooling: pooling.name)
@pytest.mark.parametrize("architecture", BIASED)
def test_numbers(exported: Exported, run: Run, architecture: str, pooling: Pooling) -> None:
    added, folded = (unfolded(exported, architecture, pooling) for _ in range(2))
    assert apply(folded, [FoldAttentionBiasesPass()]) == ["fold-attention-biases"]
    sequences = texts(5, 1, 12, 7)
    np.testing.assert_allclose(run(folded, sequences), run(added, sequences), atol=1e-6)


@pytest.mark.parametrize("architecture", BIASED)
def test_structure(exported: Exported, architecture: str) -> None:
    added, folded = (unfolded(exported, architecture) for _ in range(2))
    apply(folded, [FoldAttentionBiasesPass()])
    assert count(folded.graph)["Add"] == count(added.graph)["Add"] - 4
    for node in folded.graph:
        if node.op_type == "MultiHeadAttention":
            assert [value.producer().op_type for value in node.inputs[:3]] == ["Add", "MatMul", "MatMul"]


def test_no_bias_is_left_over(exported: Exported) -> None:
    model = unfolded(exported, "bert")
    apply(model, [FoldAttentionBiasesPass()])
    assert [name for name in BIASES if name in model.graph.initializers] == BIASES[:1]


def _second_reader(graph: ir.Graph, attention: ir.Node) -> None:
    graph.append(ir.node("Neg", [attention.inputs[2]], name="/reader"))


def _no_linear_layer_behind(_: ir.Graph, attention: ir.Node) -> None:
    attention.outputs[0].consumers()[0].op_type = "Sub"


def _shared_bias(_: ir.Graph, attention: ir.Node) -> None:
    key, value = (attention.inputs[index].producer() for index in (1, 2))
    shared = next(source for source in key.inputs if source.is_initializer())
    value.replace_input_with(next(n for n, source in enumerate(value.inputs) if source.is_initializer()), shared)


@pytest.mark.parametrize("spoil", [_second_reader, _no_linear_layer_behind, _shared_bias])
def test_must_not_fire(exported: Exported, spoil: Callable[[ir.Graph, ir.Node], None]) -> None:
    model = unfolded(exported, "bert")
    for node in [node for node in model.graph if node.op_type == "MultiHeadAttention"]:
        spoil(model.graph, node)
    with pytest.raises(UnsupportedGraphError, match="no attention has a bias of its own"):
        apply(model, [FoldAttentionBiasesPass()])


def test_must_not_fire_without_fused_attention(exported: Exported) -> None:
    with pytest.raises(ir.passes.PreconditionError, match="no attention is fused"):
        apply(before(exported("bert"), "fuse-attention"), [FoldAttentionBiasesPass()])
