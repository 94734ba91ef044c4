"""Pooling and normalisation in the graph, against numpy over real tokens."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from build.passes import UnsupportedGraphError, apply
from build.passes.pool_output import PoolOutputPass
from build.pooling import Pooling
from server.model.manifest import POOLING_MODES, PoolingMode
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import CLS

TEXTS = [[2, 9, 14, 22, 31, 3], [2, 30, 3], [2, 3]]
Floats = NDArray[np.float32]


def by_definition(mode: PoolingMode, rows: Floats) -> Floats:
    places = np.arange(1, len(rows) + 1)[:, None]
    found: Floats = {
        "cls": rows[0],
        "max": rows.max(0),
        "mean": rows.mean(0),
        "mean_sqrt_len_tokens": rows.sum(0) / np.sqrt(len(rows)),
        "weightedmean": (rows * places).sum(0) / places.sum(),
        "lasttoken": rows[-1],
    }[mode]
    return found


@pytest.mark.parametrize(
    "modes",
    [*((mode,) for mode in POOLING_MODES), ("mean", "max", "cls"), ("lasttoken", "mean", "lasttoken"), POOLING_MODES],
    ids="+".join,
)
def test_structure_and_numbers(exported: Callable[[str], Path], run: Run, modes: tuple[PoolingMode, ...]) -> None:
    before, after = ir.load(exported("bert")), ir.load(exported("bert"))
    assert apply(after, [PoolOutputPass(Pooling(modes))]) == [f"pool-{'+'.join(modes)}-normalize"]
    assert [value.name for value in after.graph.outputs] == ["sentence_embedding"]
    hidden = run(before, TEXTS)
    rows = [hidden[i, : len(ids)] for i, ids in enumerate(TEXTS)]
    pooled = np.stack([np.concatenate([by_definition(mode, row) for mode in modes]) for row in rows])
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(run(after, TEXTS), expected, atol=1e-6)


def test_must_not_fire_twice(exported: Callable[[str], Path]) -> None:
    model = ir.load(exported("bert"))
    apply(model, [PoolOutputPass(CLS)])
    with pytest.raises(UnsupportedGraphError, match="not 'last_hidden_state' alone"):
        apply(model, [PoolOutputPass(CLS)])
