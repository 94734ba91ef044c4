"""One product in place of the query's, the key's and the value's."""

import numpy as np
import pytest

from build.errors import BuildError
from build.passes import apply
from build.passes.merge_projections import MergeProjectionsPass
from build.passes.pool_output import Pooling
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import ARCHITECTURES, Exported, before, count, texts


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_structure_and_numbers(exported: Exported, run: Run, architecture: str, pooling: Pooling) -> None:
    apart, merged = (before(exported(architecture), "merge-projections", pooling) for _ in range(2))
    assert apply(merged, [MergeProjectionsPass()]) == ["merge-projections"]
    gone = 4 if pooling == "mean" else 3
    assert count(merged.graph)["MatMul"] == count(apart.graph)["MatMul"] - gone
    np.testing.assert_allclose(run(merged, texts(5, 1, 12)), run(apart, texts(5, 1, 12)), atol=1e-6)


def test_no_weight_is_kept_twice(exported: Exported) -> None:
    model = before(exported("bert"), "merge-projections")
    apply(model, [MergeProjectionsPass()])
    names = set(model.graph.initializers)
    assert not [name for name in names if ".query." in name or ".key." in name or ".value." in name]
    assert model.graph.initializers["encoder.layer.0.attention.self.qkv.weight"].shape == (32, 96)


def test_must_not_fire_without_fused_attention(exported: Exported) -> None:
    with pytest.raises(BuildError, match="'merge-projections' found nothing to rewrite"):
        apply(before(exported("bert"), "fuse-attention"), [MergeProjectionsPass()])
