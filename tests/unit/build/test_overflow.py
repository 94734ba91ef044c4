"""Numbers beyond fp16's range are found in fp32, and the modules that have them stay in fp32."""

from collections.abc import Callable

import onnx_ir as ir
import pytest

from build import overflow
from build.passes import apply
from build.passes.halve_floats import HalveFloatsPass
from build.passes.packing import cuda_passes
from build.passes.stand_in import StandInPass
from server.inference.engine import pad
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import MEAN, Exported, plain, texts

TEXTS = texts(5, 9, 9, 3)
DENSE = "encoder.layer.1.intermediate.dense"


def _scaled(model: ir.Model, **factors: float) -> ir.Model:
    for part, factor in factors.items():
        held = model.graph.initializers[f"encoder.layer.1.{part}.dense.weight"]
        held.const_value = ir.tensor(held.const_value.numpy() * factor, name=held.name)
    return model


def _cuda(model: ir.Model) -> ir.Model:
    apply(model, cuda_passes(MEAN))
    return model


def _runnable(model: ir.Model) -> ir.Model:
    apply(model, [StandInPass()])
    return model


def test_nothing_is_found_in_an_ordinary_graph(exported: Exported) -> None:
    """Attention's mask, which stands for minus infinity, does not count."""
    found = overflow.find(plain(exported("bert")), [pad(TEXTS)])
    assert (found.nodes, found.modules) == (frozenset(), ())
    assert len(found.floats) > 40


@pytest.mark.parametrize("prepare", [lambda model: model, _cuda], ids=["any", "cuda"])
def test_the_modules_stay_in_fp32(exported: Exported, run: Run, prepare: Callable[[ir.Model], ir.Model]) -> None:
    made = prepare(_scaled(plain(exported("bert")), intermediate=2.0**20, output=2.0**-20))
    runnable = made if prepare is not _cuda else _runnable(made.clone())
    found = overflow.find(runnable, [pad(TEXTS)])
    assert DENSE in found.modules
    assert not [name for name in found.modules if "layer.0" in name]
    expected = run(runnable, TEXTS)
    assert apply(made, [HalveFloatsPass(found)]) == ["float16-partly"]
    vectors = run(made if prepare is not _cuda else _runnable(made), TEXTS)
    assert (vectors * expected).sum(1).min() >= 0.9999
    weights = made.graph.initializers
    assert weights[f"{DENSE}.weight"].dtype == ir.DataType.FLOAT
    assert weights["encoder.layer.0.intermediate.dense.weight"].dtype == ir.DataType.FLOAT16


def test_scores_beyond_the_range_are_masked_by_a_number_beyond_them(exported: Exported, run: Run) -> None:
    made = plain(exported("bert"))
    for name in ("query", "key"):
        held = made.graph.initializers[f"encoder.layer.1.attention.self.{name}.weight"]
        held.const_value = ir.tensor(held.const_value.numpy() * 2.0**9, name=held.name)
    padded = texts(3, 4, 5, 30)
    expected = run(made, padded)
    apply(made, [HalveFloatsPass(overflow.find(made, [pad(padded)]))])
    assert (run(made, padded) * expected).sum(1).min() >= 0.999
