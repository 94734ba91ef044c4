"""Marked ids are computed as what they stand for, and not pooled."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.fold_token_types import FoldTokenTypesPass
from build.passes.mark_prompt import MarkPromptPass
from build.passes.packing import cuda_passes, packing_passes
from build.passes.pool_output import PoolOutputPass
from build.passes.stand_in import StandInPass
from build.pooling import Pooling
from server.model.manifest import POOLING_MODES, PoolingMode
from server.model.tokenization import mark
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import SIDE_BY_SIDE, Exported, texts
from tests.unit.build.test_cuda_graph import KERNELS, computed, halved
from tests.unit.build.test_pool_output import by_definition

MARKED = [3, 0, 1, 6]
SEQUENCES = texts(9, 4, 2, 7)
REQUESTS = [[*map(mark, ids[:count]), *ids[count:]] for ids, count in zip(SEQUENCES, MARKED, strict=True)]


def marking(exported: Exported, architecture: str, pooling: Pooling) -> ir.Model:
    model = ir.load(exported(architecture))
    apply(model, [FoldTokenTypesPass(), MarkPromptPass(), PoolOutputPass(replace(pooling, include_prompt=False))])
    return model


@pytest.mark.parametrize("mode", POOLING_MODES)
@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_numbers(exported: Exported, run: Run, architecture: str, mode: PoolingMode) -> None:
    hidden = run(ir.load(exported(architecture)), SEQUENCES)
    pooled = []
    for states, ids, count in zip(hidden, SEQUENCES, MARKED, strict=True):
        rows = states[count : len(ids)]
        if mode == "weightedmean":  # A token's weight is its place in the whole.
            places = np.arange(count + 1, len(ids) + 1)[:, None]
            pooled.append((rows * places).sum(0) / places.sum())
        else:
            pooled.append(by_definition(mode, rows))
    expected = np.stack(pooled) / np.linalg.norm(pooled, axis=1, keepdims=True)
    model = marking(exported, architecture, Pooling((mode,)))
    np.testing.assert_allclose(run(model, REQUESTS), expected, atol=1e-6)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_packed_equals_plain(exported: Exported, run: Run, architecture: str) -> None:
    plain, packed = (marking(exported, architecture, SIDE_BY_SIDE) for _ in range(2))
    apply(packed, packing_passes(replace(SIDE_BY_SIDE, include_prompt=False)))
    np.testing.assert_allclose(run(packed, REQUESTS), run(plain, REQUESTS), atol=1e-6)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_the_graph_for_cuda_equals_plain_and_leaves_nothing_for_the_cpu(
    exported: Exported, run: Run, architecture: str
) -> None:
    plain, single = (marking(exported, architecture, SIDE_BY_SIDE) for _ in range(2))
    apply(single, cuda_passes(replace(SIDE_BY_SIDE, include_prompt=False)))
    half = halved(single.clone())
    assert {node.op_type for node in computed(half)} <= KERNELS
    for model in (single, half):
        apply(model, [StandInPass()])
    vectors = run(plain, REQUESTS)
    np.testing.assert_allclose(run(single, REQUESTS), vectors, atol=1e-6)
    assert ((run(half, REQUESTS) * vectors).sum(1) >= 0.9999).all()


def test_must_not_fire_twice(exported: Exported) -> None:
    model = ir.load(exported("bert"))
    apply(model, [MarkPromptPass()])
    with pytest.raises(ir.passes.PreconditionError, match="knows a prompt's ids already"):
        apply(model, [MarkPromptPass()])


def test_must_not_fire_without_ids(exported: Exported) -> None:
    model = ir.load(exported("bert"))
    model.graph.inputs[0].name = "inputs_embeds"
    with pytest.raises(UnsupportedGraphError, match="no input 'input_ids'"):
        apply(model, [MarkPromptPass()])
