"""fp16: close to fp32, no overflow, float32 inputs and outputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import apply
from build.passes.fold_token_types import FoldTokenTypesPass
from build.passes.halve_floats import HalveFloatsPass
from build.passes.pool_output import PoolOutputPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import MEAN

TEXTS = [[2, 9, 14, 22, 31, 3], [2, 30, 3], [2, 3]]


def pooled(path: Path) -> ir.Model:
    model = ir.load(path)
    apply(model, [FoldTokenTypesPass(), PoolOutputPass(MEAN)])
    return model


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "mpnet"])
def test_structure_and_numbers(exported: Callable[[str], Path], run: Run, architecture: str) -> None:
    before, after = pooled(exported(architecture)), pooled(exported(architecture))
    assert apply(after, [HalveFloatsPass()]) == ["float16"]
    weights = [value for value in after.graph.initializers.values() if value.dtype == ir.DataType.FLOAT]
    assert all(value.const_value is not None and value.const_value.size == 1 for value in weights)
    vectors, expected = run(after, TEXTS), run(before, TEXTS)
    assert vectors.dtype == np.float32
    assert (vectors * expected).sum(1).min() >= 0.9999


def test_a_mean_over_large_states_does_not_overflow(exported: Callable[[str], Path], run: Run) -> None:
    model = pooled(exported("bert"))
    last = [node for node in model.graph if node.op_type == "LayerNormalization"][-1]
    scale = ir.tensor(np.full(32, 10_000, np.float32), name="scale")
    value = ir.Value(name="scale", const_value=scale, shape=scale.shape, type=ir.TensorType(scale.dtype))
    model.graph.register_initializer(value)
    last.replace_input_with(1, value)
    apply(model, [HalveFloatsPass()])
    vectors = run(model, [[2, 9, 14, 22, 31, 3] * 8])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_weights_beyond_the_range_are_clipped_not_infinite(exported: Callable[[str], Path]) -> None:
    model = pooled(exported("bert"))
    table = model.graph.initializers["embeddings.word_embeddings.weight"]
    values = table.const_value.numpy().copy()
    values[9] = 1e9
    table.const_value = ir.tensor(values, name=table.name)
    apply(model, [HalveFloatsPass()])
    assert np.isfinite(model.graph.initializers[table.name].const_value.numpy()).all()


def test_must_not_fire_twice(exported: Callable[[str], Path]) -> None:
    model = pooled(exported("bert"))
    apply(model, [HalveFloatsPass()])
    with pytest.raises(ir.passes.PreconditionError, match="no weight in fp32"):
        apply(model, [HalveFloatsPass()])
