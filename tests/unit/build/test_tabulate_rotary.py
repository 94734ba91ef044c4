"""Rotary positions from tables: the same vectors, near in fp16 far into a text; left alone if they depend on more."""

import numpy as np
import onnx_ir as ir

from build.passes import apply
from build.passes.halve_floats import HalveFloatsPass
from build.passes.pool_output import PoolOutputPass
from build.passes.tabulate_rotary import TabulateRotaryPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import LONGEST, MEAN, Exported, count, texts


def pooled(exported: Exported, tokens: int | None) -> ir.Model:
    model = ir.load(exported("modernbert"))
    apply(model, [PoolOutputPass(MEAN), *([TabulateRotaryPass(tokens)] if tokens else [])])
    return model


def test_structure_and_numbers(exported: Exported, run: Run) -> None:
    computed, tabulated = pooled(exported, None), pooled(exported, LONGEST)
    assert not count(tabulated.graph)["Cos"] + count(tabulated.graph)["Sin"]
    tables = [name for name in tabulated.graph.initializers if name.startswith("rotary.cos")]
    assert len(tables) == 2  # one for the frequencies of local layers, one for those of global ones
    for lengths in ([1], [5, 1, 12], [LONGEST]):
        np.testing.assert_allclose(run(tabulated, texts(*lengths)), run(computed, texts(*lengths)), atol=1e-7)


def test_fp16_keeps_distant_positions(exported: Exported, run: Run) -> None:
    single, half = pooled(exported, 4096), pooled(exported, 4096)
    apply(half, [HalveFloatsPass()])
    assert ((run(single, texts(4096)) * run(half, texts(4096))).sum(1) > 0.9999).all()


def test_waves_that_depend_on_the_text_are_left_alone(exported: Exported) -> None:
    model = pooled(exported, None)
    wave = next(node for node in model.graph if node.op_type == "Cos")
    ids = ir.node("Cast", [model.graph.inputs[0]], attributes={"to": ir.DataType.FLOAT}, name="/ids/Cast")
    model.graph.insert_before(wave, ids)
    wave.replace_input_with(0, ids.outputs[0])
    assert apply(model, [TabulateRotaryPass(LONGEST)]) == ["tabulate-rotary"]
    assert count(model.graph)["Cos"] == 1
