"""int8 weights: symmetric, a scale per output channel, and products that are exact on every processor."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from build.quantize.weights import LARGEST, PAIR, Int8Weight, quantize, quantize_factor

Weights = NDArray[np.float32]


def normal(rows: int, columns: int = 8, seed: int = 0) -> Weights:
    draw = np.random.default_rng(seed)
    return (draw.standard_normal((rows, columns)) * np.logspace(-3, 3, columns)).astype(np.float32)


def largest_sum(packed: Int8Weight) -> int:
    """Return the largest magnitude of two neighbouring weights of one sign together."""
    values = packed.values[: len(packed.values) // 2 * 2].astype(int)
    even, odd = values[::2], values[1::2]
    return int(np.abs(np.where(even * odd > 0, even + odd, 0)).max(initial=0))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40),
    st.sampled_from([1, 1.5, 127, 128, 129]),
)
def test_two_neighbours_of_one_sign_fit_16_bits_together(column: list[float], largest: float) -> None:
    packed = quantize_factor(np.array([*column, largest, largest], np.float32)[:, None])
    assert largest_sum(packed) <= PAIR
    assert np.abs(packed.values.astype(int)).max() <= LARGEST


@pytest.mark.parametrize("rows", [39, 40])
def test_a_factor_s_error_is_about_half_a_step(rows: int) -> None:
    weight = normal(rows)
    packed = quantize_factor(weight)
    error = np.abs(packed.values * packed.scale - weight) / packed.scale
    assert packed.values.dtype == np.int8
    assert np.sqrt(np.square(error).mean()) < 0.5
    assert (packed.scale <= np.abs(weight).max(axis=0) * 2 / PAIR * 1.001).all()


def test_a_channel_whose_pairs_fit_uses_all_of_int8() -> None:
    weight = normal(40)
    weight[::2] *= -np.sign(weight[::2]) * np.sign(weight[1::2])  # neighbours of other signs
    packed = quantize_factor(weight)
    np.testing.assert_array_equal(np.abs(packed.values.astype(int)).max(axis=0), LARGEST)
    assert (np.abs(packed.values * packed.scale - weight) <= packed.scale * 0.5001).all()


def test_one_pair_too_large_does_not_coarsen_a_channel_of_many() -> None:
    weight = np.random.default_rng(1).integers(1, 100, (4000, 1)).astype(np.float32)
    weight[1::2] *= -1
    weight[:2, 0] = 127, 2
    assert quantize_factor(weight).scale == 1


def test_a_table_s_error_is_half_a_step_at_most() -> None:
    weight = normal(40)
    packed = quantize(weight)
    np.testing.assert_array_equal(np.abs(packed.values.astype(int)).max(axis=0), LARGEST)
    assert (np.abs(packed.values * packed.scale - weight) <= packed.scale * 0.5001).all()


@pytest.mark.parametrize("way", [quantize, quantize_factor])
def test_a_column_of_zeros_stays_zero(way: Callable[[Weights], Int8Weight]) -> None:
    packed = way(np.zeros((4, 2), np.float32))
    assert not packed.values.any()
    assert np.isfinite(packed.scale).all()


def test_column_sums_are_those_of_the_rounded_weight() -> None:
    packed = quantize_factor(np.array([[1.0, -0.3], [0.5, 0.2]], np.float32))
    np.testing.assert_allclose(packed.column_sums(), (packed.values * packed.scale).sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("rows", [6, 64, 1021])
def test_this_cpu_s_products_are_exact_for_the_largest_activations(rows: int) -> None:
    """A CPU with VNNI passes with any weights; one without fails if two products of 255 exceed 16 bits."""
    # Columns and rows for each width of the kernels, and all of one sign, of the other, and of both.
    drawn = normal(rows, 61)
    drawn[:, :20] = np.abs(drawn[:, :20])
    drawn[:, 20:40] = -np.abs(drawn[:, 20:40])
    weight = quantize_factor(drawn).values
    session = onnxruntime.InferenceSession(_product(weight).SerializeToString(), providers=["CPUExecutionProvider"])
    for count in (1, 2, 3, 5, 33):
        activations = np.random.default_rng(count).integers(200, 256, (count, rows)).astype(np.uint8)
        activations[0] = 255
        (product,) = session.run(None, {"a": activations})
        np.testing.assert_array_equal(product, activations.astype(np.int32) @ weight.astype(np.int32))


def _product(weight: NDArray[np.int8]) -> onnx.ModelProto:
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    given = helper.make_tensor_value_info("a", TensorProto.UINT8, ["rows", len(weight)])
    made = helper.make_tensor_value_info("c", TensorProto.INT32, ["rows", weight.shape[1]])
    graph = helper.make_graph([node], "product", [given], [made], [numpy_helper.from_array(weight, "b")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
