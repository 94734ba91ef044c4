"""Calibration records the linear layers' input ranges and does not change the graph."""

import numpy as np
import onnx_ir as ir
import pytest

from build.errors import BuildError
from build.quantize.calibration import Range, calibrate
from build.quantize.linear import linears
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import Exported, batches, packed

LENGTHS = [5, 1, 12]


def test_ranges_are_those_of_the_layers_inputs(exported: Exported, run: Run) -> None:
    ranges = calibrate(packed(exported("bert")), batches(LENGTHS))
    model = packed(exported("bert"))
    layer = next(layer for layer in linears(model.graph) if layer.name == "encoder.layer.1.output.dense")
    layer.source.type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs[:] = [layer.source]
    ((ids, mask),) = batches(LENGTHS)
    rows = run(model, [row[: kept.sum()].tolist() for row, kept in zip(ids, mask, strict=True)])
    np.testing.assert_allclose(ranges[layer.name].high, rows.max(axis=0), atol=1e-5)
    np.testing.assert_allclose(ranges[layer.name].low, rows.min(axis=0), atol=1e-5)


def test_ranges_grow_with_the_texts(exported: Exported) -> None:
    model = packed(exported("bert"))
    few, more = calibrate(model, batches(LENGTHS)), calibrate(model, batches(LENGTHS, [30, 30]))
    for name, span in few.items():
        assert (more[name].high >= span.high).all()
        assert (more[name].low <= span.low).all()


def test_the_graph_is_left_as_it_was(exported: Exported) -> None:
    model = packed(exported("bert"))
    nodes = [node.name for node in model.graph]
    calibrate(model, batches(LENGTHS))
    assert [node.name for node in model.graph] == nodes
    assert [value.name for value in model.graph.outputs] == ["sentence_embedding"]


def test_must_not_pass_on_numbers_that_are_not_finite(exported: Exported) -> None:
    model = packed(exported("bert"))
    bias = model.graph.initializers["encoder.layer.0.intermediate.dense.bias"]
    bias.const_value = ir.tensor(np.full(64, np.inf, np.float32), name=bias.name)
    with pytest.raises(BuildError, match="not finite"):
        calibrate(model, batches(LENGTHS))


def test_range() -> None:
    span = Range(np.array([-3, 0], np.float32), np.array([1, 4], np.float32))
    assert span.largest.tolist() == [3, 4]
    assert span.divided(np.array([3, 2], np.float32)).low.tolist() == [-1, 0]
