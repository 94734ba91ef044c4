"""The graph for CUDA, without a GPU: its structure avoids CPU placement, its types are valid in ONNX Runtime, and its
results are checked with the CPU stand-in."""

from itertools import product

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.halve_floats import HalveFloatsPass
from build.passes.packing import cuda_passes
from build.passes.stand_in import StandInPass
from build.pooling import Pooling
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import CLS, MEAN, ON_CUDA, PRODUCTS, SIDE_BY_SIDE, Exported, count, for_cuda, plain, texts
from tests.unit.build.test_packing import BATCHES

# Operators with CUDA kernels for the types in these graphs, from ONNX Runtime's docs/OperatorKernels.md. ONNX Runtime
# 1.31.1 assigned every node of these graphs to CUDA; ReduceMax, of max pooling, is taken from the list alone.
KERNELS = {
    *("Add", "Cast", "Concat", "CumSum", "Div", "Equal", "Gather", "Greater", "LayerNormalization", "MatMul", "Max"),
    *("Mul", "NonZero", "Not", "ReduceL2", "ReduceSum", "Reshape", "Shape", "Sqrt", "Squeeze", "Sub", "Unsqueeze"),
    *("Where", "ReduceMax"),
    *("BiasGelu", "FastGelu", "PackedMultiHeadAttention", "SkipLayerNormalization"),
}
POOLED = [pytest.param(*case, id=f"{case[0]}-{case[1].name}") for case in product(ON_CUDA, (CLS, MEAN, SIDE_BY_SIDE))]


def halved(model: ir.Model) -> ir.Model:
    apply(model, [HalveFloatsPass()])
    return model


def computed(model: ir.Model) -> list[ir.Node]:
    """Return the nodes that are left at run time."""
    return [node for node in model.graph.all_nodes() if node.op_type != "Constant"]


@pytest.mark.parametrize(("architecture", "pooling"), POOLED)
def test_nothing_is_left_for_the_cpu(exported: Exported, architecture: str, pooling: Pooling) -> None:
    model = halved(for_cuda(exported(architecture), pooling))
    assert {node.op_type for node in computed(model)} <= KERNELS
    # ORT places computation on shapes on the CPU, except a shape that is only the target of a Reshape.
    readers = [use for node in model.graph if node.op_type == "Shape" for use in node.outputs[0].uses()]
    assert [(node.op_type, index) for node, index in readers] == [("Reshape", 1)]


@pytest.mark.parametrize("architecture", ON_CUDA)
def test_structure(exported: Exported, architecture: str) -> None:
    model = for_cuda(exported(architecture), CLS)
    counts = count(model.graph)
    assert counts["PackedMultiHeadAttention"] == counts["BiasGelu"] + counts["FastGelu"] == 2
    assert counts["SkipLayerNormalization"] + counts["LayerNormalization"] == 5
    assert counts["MatMul"] == PRODUCTS[architecture]
    assert [value.name for value in model.graph.inputs] == ["input_ids", "attention_mask"]
    assert [value.name for value in model.graph.outputs] == ["sentence_embedding"]
    onnx.checker.check_model(ir.to_proto(model))


def test_the_last_layer_computes_one_row_a_text_behind_attention(exported: Exported, run: Run) -> None:
    model = for_cuda(exported("bert"), CLS)
    apply(model, [StandInPass()])
    inner = next(node for node in model.graph if node.name == "/encoder/layer.1/intermediate/dense/MatMul").outputs[0]
    inner.type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs[:] = [inner]
    assert run(model, texts(5, 1, 12)).shape == (3, 64)


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize(("architecture", "pooling"), POOLED)
def test_onnx_runtime_accepts_every_type_and_misses_only_the_cuda_kernel(
    exported: Exported, architecture: str, pooling: Pooling, half: bool
) -> None:
    model = for_cuda(exported(architecture), pooling)
    proto = ir.to_proto(halved(model) if half else model).SerializeToString()
    with pytest.raises(Exception, match=r"NOT_IMPLEMENTED.*PackedMultiHeadAttention"):
        ort.InferenceSession(proto, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("architecture", "pooling"), POOLED)
def test_its_vectors_are_the_plain_graph_s(exported: Exported, run: Run, architecture: str, pooling: Pooling) -> None:
    expected, single = plain(exported(architecture), pooling), for_cuda(exported(architecture), pooling)
    half = halved(single.clone())
    for model in (single, half):
        apply(model, [StandInPass()])
    for lengths in BATCHES.values():
        vectors = run(expected, texts(*lengths))
        assert run(single, texts(*lengths)) == pytest.approx(vectors, abs=1e-6)
        assert ((run(half, texts(*lengths)) * vectors).sum(1) >= 0.9999).all()


def test_a_mean_over_many_large_rows_stays_within_fp16(exported: Exported, run: Run) -> None:
    model = for_cuda(exported("bert"), MEAN)
    scale = next(node for node in reversed(list(model.graph)) if node.op_type == "SkipLayerNormalization").inputs[2]
    # The sum of the rows, at least 64 × 3000, exceeds fp16's 65,504; rows and mean do not.
    scale.const_value = ir.tensor(np.full(scale.shape[0], 3000, np.float32), name=scale.name)
    half = halved(model.clone())
    for made in (model, half):
        apply(made, [StandInPass()])
    assert ((run(half, texts(64, 3)) * run(model, texts(64, 3))).sum(1) >= 0.9999).all()


def test_pooling_s_norm_is_taken_in_fp32(exported: Exported) -> None:
    model = halved(for_cuda(exported("bert"), CLS))
    norm = next(node for node in model.graph if node.op_type == "ReduceL2")
    cast = norm.inputs[0].producer()
    assert cast.op_type == "Cast"
    assert cast.attributes["to"].as_int() == ir.DataType.FLOAT


def test_same_bytes_every_time(exported: Exported) -> None:
    first, second = (ir.to_proto(for_cuda(exported("bert"))).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_must_not_fire_where_attention_has_a_bias_by_position(exported: Exported) -> None:
    with pytest.raises(UnsupportedGraphError, match="bias by position"):
        apply(plain(exported("mpnet")), cuda_passes(MEAN))


def test_must_not_fire_on_positions_computed_from_a_shape(exported: Exported) -> None:
    model = plain(exported("bert"), CLS)
    positions = next(node for node in model.graph if node.name == "/embeddings/Slice")
    positions.replace_input_with(1, ir.Value(name="two", const_value=ir.tensor(np.array([2]), name="two")))
    with pytest.raises(UnsupportedGraphError, match="computed from a shape"):
        apply(model, cuda_passes(CLS))
