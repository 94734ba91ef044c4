"""The tables for packed attention's kernels."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from build.passes.cuda_layout import CudaLayout

# Texts of 1, 2 and 4 tokens: the example in the schema of RemovePadding.
MASK = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]


def tables(mask: list[list[int]]) -> dict[str, list[object]]:
    """Return all tables for a mask."""
    given = ir.Value(name="mask", shape=ir.Shape(["b", "s"]), type=ir.TensorType(ir.DataType.INT64))
    graph = ir.Graph([given], [], nodes=[], name="tables", opset_imports={"": 18})
    layout = CudaLayout(graph, given)
    made = {"offsets": layout.offsets, "bounds": layout.bounds, "owners": layout.owners(), "packed": layout.pack(given)}
    types = {"offsets": ir.DataType.INT32, "bounds": ir.DataType.INT32}
    for name, value in made.items():
        value.type = ir.TensorType(types.get(name, ir.DataType.INT64))
        graph.outputs.append(value)
    graph.sort()
    session = ort.InferenceSession(ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString())
    outputs = session.run(None, {"mask": np.array(mask)})
    return {name: values.tolist() for name, values in zip(made, outputs, strict=True)}


def test_real_tokens_come_first_then_the_padding() -> None:
    assert tables(MASK) == {
        "offsets": [[0, 4, 5, 8], [9, 10, 11, 1], [2, 3, 6, 7]],
        "bounds": [0, 1, 3, 7],
        "owners": [0, 1, 1, 3, 3, 3, 3],
        "packed": [1] * 7,
    }


@pytest.mark.parametrize(("mask", "offsets"), [([[1, 1]], [[0, 1]]), ([[1], [1]], [[0], [1]])])
def test_without_padding_every_token_stays_where_it_is(mask: list[list[int]], offsets: list[list[int]]) -> None:
    assert tables(mask)["offsets"] == offsets
