"""Weights are named after their modules, as shown in Netron."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import apply
from build.passes.name_weights import NameWeightsPass
from tests.unit.build.conftest import Run


def test_structure_and_numbers(exported: Callable[[str], Path], run: Run) -> None:
    before, after = ir.load(exported("bert")), ir.load(exported("bert"))
    apply(after, [NameWeightsPass()])
    names = set(after.graph.initializers)
    assert {"encoder.layer.0.attention.self.query.weight", "encoder.layer.1.output.dense.weight"} <= names
    assert not any("::MatMul" in name for name in names)
    np.testing.assert_array_equal(run(after, [[2, 8, 3]]), run(before, [[2, 8, 3]]))


def test_must_not_fire_on_named_weights(exported: Callable[[str], Path]) -> None:
    model = ir.load(exported("bert"))
    apply(model, [NameWeightsPass()])
    assert not NameWeightsPass().needed(model)
    with pytest.raises(ir.passes.PreconditionError, match="every weight has a name"):
        NameWeightsPass()(model)
