"""Static int8: scalar scales from calibration; product and bias in one operator."""

import numpy as np
import pytest

from build.quantize import static_int8
from build.quantize.calibration import Range
from build.quantize.static import grid
from tests.unit.build.graphs import CALIBRATION, Exported, count, packed


def test_nothing_is_measured_at_run_time(exported: Exported) -> None:
    counts = count(static_int8(packed(exported("bert")), CALIBRATION).graph)
    assert counts["QuantizeLinear"] == 8
    assert counts["MatMulIntegerToFloat"] == 12
    assert not counts["ReduceMax"] + counts["ReduceMin"]


def test_scales_are_scalars_and_the_bias_is_inside(exported: Exported) -> None:
    model = static_int8(packed(exported("bert")), CALIBRATION)
    for node in model.graph:
        if node.op_type == "QuantizeLinear":
            assert node.inputs[1].shape == ()
        if node.op_type == "MatMulIntegerToFloat":
            assert len(node.inputs) == (5 if "/key/" in node.name or "/value/" in node.name else 7)
            assert len(node.inputs) == 5 or node.inputs[6].shape == node.inputs[3].shape


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (-0.17, 8.0), (0.5, 2.0), (-4.0, -1.0)])
def test_grid_covers_the_range_and_zero(low: float, high: float) -> None:
    covering = grid(Range(np.array([low], np.float32), np.array([high], np.float32)), 1.1)
    ends = (np.array([0, 255]) - float(covering.zero)) * covering.step
    assert ends[0] <= min(low, 0) + covering.step
    assert ends[1] >= max(high, 0) - covering.step


def test_grid_of_a_channel_that_is_always_zero() -> None:
    none = np.zeros(3, np.float32)
    assert grid(Range(none, none), 1.1).step > 0
