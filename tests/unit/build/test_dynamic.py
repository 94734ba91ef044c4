"""Dynamic int8: a scale per row, computed at run time."""

import numpy as np
import onnx_ir as ir

from build.quantize import dynamic_int8
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import CALIBRATION, Exported, packed, texts

LAYERS = ["intermediate/dense", "output/dense"]


def test_every_row_has_its_own_scale(exported: Exported) -> None:
    model = dynamic_int8(packed(exported("bert")))
    rounding = [node for node in model.graph if node.op_type == "QuantizeLinear"]
    assert len(rounding) == 8
    assert all(node.attributes["axis"].as_int() == 0 for node in rounding)


def test_feed_forward_uses_the_whole_unsigned_range(exported: Exported) -> None:
    model = dynamic_int8(packed(exported("bert")))
    products = {node.name: node for node in model.graph if node.op_type == "MatMulIntegerToFloat"}
    zeros = {layer: products[f"/encoder/layer.0/{layer}/MatMulIntegerToFloat"].inputs[4] for layer in LAYERS}
    assert zeros["output/dense"].const_value.numpy() == 0
    assert zeros["intermediate/dense"].const_value.numpy() == 128


def test_rows_that_hardly_fit_are_not_cut_off(exported: Exported, run: Run) -> None:
    # Gelu outputs up to about 100, which the scale per row must cover.
    graphs = [packed(exported("bert")) for _ in range(2)]
    for model in graphs:
        weight = model.graph.initializers["encoder.layer.0.intermediate.dense.weight"]
        weight.const_value = ir.tensor(weight.const_value.numpy() * 30, name=weight.name)
    quantized = dynamic_int8(graphs[1])
    expected, actual = run(graphs[0], texts(9, 4)), run(quantized, texts(9, 4))
    assert (expected * actual).sum(axis=1).min() > 0.98


def test_smoothing_is_kept_per_channel(exported: Exported) -> None:
    model = dynamic_int8(packed(exported("bert")), CALIBRATION)
    smoothing = model.graph.initializers["encoder.layer.0.intermediate.dense.smoothing"]
    assert smoothing.shape == (32,)
    assert np.isfinite(smoothing.const_value.numpy()).all()
