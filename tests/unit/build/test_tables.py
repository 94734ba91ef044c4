"""int8 embedding tables: large ones only, with a scale per row."""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from build.quantize.tables import quantize_tables


def lookup(rows: int) -> ir.Model:
    table = np.random.default_rng(0).standard_normal((rows, 64)).astype(np.float32)
    table[3] *= 100
    ids = ir.Value(name="ids", shape=ir.Shape([None]), type=ir.TensorType(ir.DataType.INT64))
    weight = ir.Value(
        name="embeddings.weight",
        shape=ir.Shape(table.shape),
        type=ir.TensorType(ir.DataType.FLOAT),
        const_value=ir.tensor(table, name="embeddings.weight"),
    )
    node = ir.node("Gather", [weight, ids], name="/embeddings/Gather")
    node.outputs[0].name = "found"
    out = ir.node("Identity", node.outputs, name="/out")
    out.outputs[0].type, out.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([None, 64])
    out.outputs[0].name = "out"
    graph = ir.Graph([ids], out.outputs, nodes=[node, out], initializers=[weight], opset_imports={"": 18})
    return ir.Model(graph, ir_version=10)


def rows_of(model: ir.Model) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"ids": np.array([3, 0, 3, 7])})[0], np.float32)


def test_rows_are_near_and_no_row_costs_another() -> None:
    model = lookup(1 << 14)
    expected = rows_of(model)
    assert quantize_tables(model.graph) == 1
    assert model.graph.initializers["embeddings.weight"].dtype == ir.DataType.INT8
    rows = rows_of(model)
    for row, near in zip(expected, rows, strict=True):
        assert np.abs(row - near).max() <= np.abs(row).max() / 127 / 2 * 1.001


def test_must_not_fire_on_a_small_table() -> None:
    model = lookup(512)
    assert quantize_tables(model.graph) == 0
    assert model.graph.initializers["embeddings.weight"].dtype == ir.DataType.FLOAT
