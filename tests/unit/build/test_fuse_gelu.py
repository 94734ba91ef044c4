"""Fusing Gelu: exact to float32 rounding."""

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.fuse_gelu import FuseGeluPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import ARCHITECTURES, Exported, before, count, plain, texts


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_structure_and_numbers(exported: Exported, run: Run, architecture: str) -> None:
    unfused, after = (before(exported(architecture), "fuse-gelu") for _ in range(2))
    assert apply(after, [FuseGeluPass()]) == ["fuse-gelu"]
    counts = count(after.graph)
    assert counts["Gelu"] + counts["FastGelu"] == 2
    assert not counts["Erf"] + counts["Tanh"]
    np.testing.assert_allclose(run(after, texts(5, 1, 12)), run(unfused, texts(5, 1, 12)), atol=1e-6)


def test_nodes_are_named_by_their_module(exported: Exported) -> None:
    model = plain(exported("bert"))
    apply(model, [FuseGeluPass()])
    names = [node.name for node in model.graph if node.op_type == "Gelu"]
    assert names == ["/encoder/layer.0/intermediate/Gelu", "/encoder/layer.1/intermediate/Gelu"]


def test_must_not_fire_on_another_factor(exported: Exported) -> None:
    model = plain(exported("bert"))
    for node in [node for node in model.graph if node.op_type == "Erf"]:
        divisor = ir.Value(name=f"{node.name}.other", const_value=ir.tensor(np.array(1.5, np.float32), name="other"))
        model.graph.register_initializer(divisor)
        node.inputs[0].producer().replace_input_with(1, divisor)
    with pytest.raises(UnsupportedGraphError, match="no Gelu in one of the exporter's forms"):
        apply(model, [FuseGeluPass()])
