"""Pooling and normalisation in the graph equal their definition in numpy, over real tokens only."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.pool_output import PoolOutputPass
from tests.unit.build.conftest import Run

TEXTS = [[2, 9, 14, 22, 31, 3], [2, 30, 3], [2, 3]]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_structure_and_numbers(exported: Callable[[str], Path], run: Run, pooling: Literal["cls", "mean"]) -> None:
    before, after = ir.load(exported("bert")), ir.load(exported("bert"))
    assert apply(after, [PoolOutputPass(pooling)]) == [f"pool-{pooling}-normalize"]
    assert [value.name for value in after.graph.outputs] == ["sentence_embedding"]
    hidden = run(before, TEXTS)
    rows = [hidden[i, : len(ids)] for i, ids in enumerate(TEXTS)]
    pooled = np.stack([row[0] if pooling == "cls" else row.mean(0) for row in rows])
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(run(after, TEXTS), expected, atol=1e-6)


def test_must_not_fire_twice(exported: Callable[[str], Path]) -> None:
    model = ir.load(exported("bert"))
    apply(model, [PoolOutputPass("cls")])
    with pytest.raises(UnsupportedGraphError, match="not 'last_hidden_state' alone"):
        apply(model, [PoolOutputPass("cls")])
