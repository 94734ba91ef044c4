"""Weights are 0 wherever a token does not count, and add up as the mode says."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from build.passes.graph import Scope
from build.passes.token_weights import token_weights
from server.model.manifest import PoolingMode

MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
POOLED = np.array([[0, 1, 1, 1], [1, 1, 0, 0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls", [[0, 1, 0, 0], [1, 0, 0, 0]]),
        ("lasttoken", [[0, 0, 0, 1], [0, 1, 0, 0]]),
        ("mean", [[0, 1 / 3, 1 / 3, 1 / 3], [1 / 2, 1 / 2, 0, 0]]),
        ("mean_sqrt_len_tokens", [[0, 3**-0.5, 3**-0.5, 3**-0.5], [2**-0.5, 2**-0.5, 0, 0]]),
        ("weightedmean", [[0, 2 / 9, 3 / 9, 4 / 9], [1 / 3, 2 / 3, 0, 0]]),
    ],
)
def test_numbers(mode: PoolingMode, expected: list[list[float]]) -> None:
    given = [ir.Value(name=name, shape=ir.Shape([None, None]), type=ir.TensorType(ir.DataType.INT64)) for name in "mp"]
    graph = ir.Graph(given, [], nodes=[], name="weights", opset_imports={"": 18})
    weights = token_weights(Scope(graph, "/pooling"), mode, *given)
    weights.type = ir.TensorType(ir.DataType.FLOAT)
    graph.outputs.append(weights)
    proto = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    session = ort.InferenceSession(proto, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"m": MASK, "p": POOLED})[0], expected, rtol=1e-6)
