"""Both int8 recipes: near fp32, batch-invariant, int8 weights only, reproducible bytes."""

from collections.abc import Callable
from random import Random

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from build.errors import BuildError
from build.pooling import Pooling
from build.quantize import calibrate, dynamic_int8, static_int8
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import (
    ARCHITECTURES,
    CALIBRATION,
    CLS,
    LONGEST,
    MEAN,
    Exported,
    count,
    packed,
    plain,
    texts,
)

Recipe = Callable[[ir.Model], ir.Model]
LENGTHS = [5, 1, 12, 7, 7, 1, 30, LONGEST]


def dynamic(model: ir.Model) -> ir.Model:
    return dynamic_int8(model)


def calibrated(model: ir.Model) -> ir.Model:
    return dynamic_int8(model, CALIBRATION)


def static(model: ir.Model) -> ir.Model:
    return static_int8(model, CALIBRATION)


RECIPES: dict[str, Recipe] = {"dynamic": dynamic, "calibrated": calibrated, "static": static}
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((left * right).sum(-1), np.float32)


@every_recipe
@pytest.mark.parametrize("pooling", [CLS, MEAN], ids=lambda pooling: pooling.name)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_near_fp32(exported: Exported, run: Run, architecture: str, pooling: Pooling, recipe: Recipe) -> None:
    expected = run(plain(exported(architecture), pooling), texts(*LENGTHS))
    vectors = run(recipe(packed(exported(architecture), pooling)), texts(*LENGTHS))
    # Random weights of 0.2 and 32 channels; tests/numeric has real models. A wrong scale gives less than 0.9.
    assert cosine(expected, vectors).min() > 0.98


@every_recipe
def test_structure(exported: Exported, recipe: Recipe) -> None:
    model = recipe(packed(exported("bert"), CLS))
    counts = count(model.graph)
    assert counts["MatMulIntegerToFloat"] == 12
    # Query, key and value share one quantized input, except in the last layer.
    assert counts["QuantizeLinear"] == 9
    # Only the two outlier products of each layer are fp32.
    assert counts["Gemm"] == (0 if recipe is dynamic else 4)
    assert not counts["MatMul"]
    weight = model.graph.initializers["encoder.layer.0.attention.self.query.weight"]
    assert weight.dtype == ir.DataType.INT8
    onnx.checker.check_model(ir.to_proto(model))


@every_recipe
def test_same_bytes_every_time(exported: Exported, recipe: Recipe) -> None:
    first, second = (ir.to_proto(recipe(packed(exported("bert")))) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


@every_recipe
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=9), order=st.randoms(use_true_random=False))
def test_a_vector_depends_neither_on_neighbours_nor_on_order(
    exported: Exported, run: Run, recipe: Recipe, lengths: list[int], order: Random
) -> None:
    model, sequences = recipe(packed(exported("bert"))), texts(*lengths)
    together = run(model, sequences)
    shuffled = list(range(len(sequences)))
    order.shuffle(shuffled)
    assert cosine(run(model, [sequences[place] for place in shuffled]), together[shuffled]).min() > 0.99999
    alone = np.stack([run(model, [sequence])[0] for sequence in sequences])
    assert cosine(alone, together).min() > 0.99999


def test_ranges_can_be_shared_by_both_recipes(exported: Exported, run: Run) -> None:
    ranges = calibrate(packed(exported("bert")), CALIBRATION)
    for recipe, whole in ((dynamic_int8, calibrated), (static_int8, static)):
        shared = run(recipe(packed(exported("bert")), ranges), texts(*LENGTHS))
        np.testing.assert_array_equal(shared, run(whole(packed(exported("bert"))), texts(*LENGTHS)))


@every_recipe
def test_no_sum_of_two_products_exceeds_16_bits(exported: Exported, recipe: Recipe) -> None:
    model = recipe(packed(exported("bert")))
    products = [node for node in model.graph if node.op_type == "MatMulIntegerToFloat"]
    assert products
    for node in products:
        weight = node.inputs[1].const_value.numpy().astype(int)
        positive, negative = (255 * np.maximum(sign * weight, 0) for sign in (1, -1))
        assert max((part[::2] + part[1::2]).max() for part in (positive, negative)) < 2**15


def test_must_not_fire_without_texts_to_calibrate_on(exported: Exported) -> None:
    with pytest.raises(BuildError, match="no text to calibrate on"):
        static_int8(packed(exported("bert")), [])


@every_recipe
def test_must_not_fire_twice(exported: Exported, recipe: Recipe) -> None:
    with pytest.raises(BuildError, match="no linear layers to quantize"):
        recipe(recipe(packed(exported("bert"))))
