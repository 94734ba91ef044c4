"""Weights that several layers have in common are stored once, and only if no pass has changed them."""

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import apply
from build.passes.share_weights import ShareWeightsPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import Exported, packed, texts


def size(model: ir.Model) -> int:
    return len(ir.to_proto(model).SerializeToString())


def test_albert_s_layers(exported: Exported, run: Run) -> None:
    copied, shared = packed(exported("albert")), packed(exported("albert"))
    assert apply(shared, [ShareWeightsPass()]) == ["share-weights"]
    matrices = [node.inputs[1].name for node in shared.graph if node.op_type == "MatMul"]
    assert (len(matrices) - 2, len(set(matrices)) - 2) == (12, 6)  # without embeddings' projection and pooling
    assert size(shared) < 0.8 * size(copied)
    np.testing.assert_array_equal(run(shared, texts(5, 1, 12)), run(copied, texts(5, 1, 12)))


def test_layers_of_their_own_are_left_alone(exported: Exported) -> None:
    assert apply(packed(exported("bert")), [ShareWeightsPass()]) == []


def test_what_a_pass_has_changed_is_not_shared(exported: Exported) -> None:
    model = packed(exported("albert"))
    for node in [node for node in model.graph if node.op_type == "MatMul"]:
        weight = node.inputs[1]
        if weight.const_value is not None:
            weight.const_value = ir.tensor(weight.const_value.numpy().copy(), name=weight.name)
    assert not ShareWeightsPass().needed(model)


@pytest.mark.parametrize("architecture", ["albert", "modernbert"])
def test_same_bytes_every_time(exported: Exported, architecture: str) -> None:
    first, second = (packed(exported(architecture)) for _ in range(2))
    for model in (first, second):
        apply(model, [ShareWeightsPass()])
    assert ir.to_proto(first).SerializeToString(deterministic=True) == ir.to_proto(second).SerializeToString(
        deterministic=True
    )
