"""With CLS pooling the last layer computes only the first token; the vector is unchanged."""

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.trim_last_layer import TrimLastLayerPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import ARCHITECTURES, CLS, MEAN, Exported, before, texts


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_numbers(exported: Exported, run: Run, architecture: str) -> None:
    whole, trimmed = (before(exported(architecture), "trim-last-layer", CLS) for _ in range(2))
    assert apply(trimmed, [TrimLastLayerPass()]) == ["trim-last-layer"]
    sequences = texts(5, 1, 12, 7)
    np.testing.assert_allclose(run(trimmed, sequences), run(whole, sequences), atol=1e-6)


def test_structure(exported: Exported) -> None:
    model = before(exported("bert"), "trim-last-layer", CLS)
    apply(model, [TrimLastLayerPass()])
    first = next(node for node in model.graph if node.name == "/pooling/Gather_1")
    readers = {node.name for node in first.outputs[0].consumers()}
    # The query and the residual read the first token; keys and values read all.
    assert readers == {"/encoder/layer.1/attention/self/query/MatMul", "/encoder/layer.1/attention/output/Add"}


def test_must_not_fire_on_mean_pooling(exported: Exported) -> None:
    with pytest.raises(ir.passes.PreconditionError, match="pooling is not CLS"):
        apply(before(exported("bert"), "fold-attention-biases", MEAN), [TrimLastLayerPass()])


def test_must_not_fire_on_a_layer_that_mixes_tokens(exported: Exported) -> None:
    model = before(exported("bert"), "trim-last-layer", CLS)
    last = [node for node in model.graph if node.op_type == "Gelu"][-1]
    last.op_type, last.domain = "Softmax", ""
    with pytest.raises(UnsupportedGraphError, match="may mix tokens"):
        apply(model, [TrimLastLayerPass()])
