"""Attention by groups of equal length, against softmax(q k / sqrt d) v for each text."""

from itertools import pairwise

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from build.passes import UnsupportedGraphError
from build.passes.attend import width
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import Exported, packed, texts

HEADS, SIZE = 4, 8


def attention(*projected: NDArray[np.float32]) -> NDArray[np.float32]:
    query, key, value = (rows.reshape(-1, HEADS, SIZE).transpose(1, 0, 2) for rows in projected)
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(SIZE)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = weights / weights.sum(-1, keepdims=True) @ value
    return np.asarray(mixed.transpose(1, 0, 2).reshape(-1, HEADS * SIZE), np.float32)


def part(path: object, run: Run, name: str, lengths: list[int]) -> NDArray[np.float32]:
    model = packed(path)  # type: ignore[arg-type]
    value = next(node for node in model.graph if node.name == name).outputs[0]
    value.type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs[:] = [value]
    return run(model, texts(*lengths))


@pytest.mark.parametrize("lengths", [[5, 1, 12, 5], [7, 7, 7], [1], [30, 2]])
def test_each_text_attends_to_itself_alone(exported: Exported, run: Run, lengths: list[int]) -> None:
    folder = "/encoder/layer.0/attention/self"
    parts = ("query/Add", "key/MatMul", "value/MatMul")
    projected = [part(exported("bert"), run, f"{folder}/{name}", lengths) for name in parts]
    attended = part(exported("bert"), run, f"{folder}/Reshape", lengths)
    bounds = np.cumsum([0, *sorted(lengths)])
    expected = [attention(*(rows[start:end] for rows in projected)) for start, end in pairwise(bounds)]
    np.testing.assert_allclose(attended, np.concatenate(expected), atol=1e-5)


def test_texts_of_one_length_are_neither_cut_nor_joined(exported: Exported) -> None:
    choices = [node for node in packed(exported("bert")).graph if node.op_type == "If"]
    assert len(choices) == 2
    for node in choices:
        whole = {inner.op_type for inner in node.attributes["then_branch"].as_graph()}
        assert whole == {"Gather", "Reshape", "MultiHeadAttention"}


def test_width_comes_from_the_weights(exported: Exported) -> None:
    nodes = {node.name: node for node in packed(exported("bert")).graph}
    assert width(nodes["/encoder/layer.0/attention/self/query/Add"].outputs[0]) == 32
    assert width(nodes["/encoder/layer.0/intermediate/dense/MatMul"].outputs[0]) == 64
    assert width(nodes["/encoder/layer.0/output/LayerNorm/LayerNormalization"].outputs[0]) == 32


def test_must_not_guess_a_width() -> None:
    with pytest.raises(UnsupportedGraphError, match="unknown"):
        width(ir.node("Abs", [ir.Value(name="x")]).outputs[0])
    with pytest.raises(UnsupportedGraphError, match="no layer's output"):
        width(ir.Value(name="x"))
