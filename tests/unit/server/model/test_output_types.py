import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from server.inference.engine import Vectors
from server.model.output_types import OUTPUT_NAMES, TYPES, OutputName, calibrate_ranges, convert

ROWS: Vectors = np.array([[0.5, -0.5, 0.0, 0.25, -0.25, 0.5, -0.5, 1e-9]], np.float32)


@pytest.mark.parametrize(
    ("name", "dtype", "values"),
    [
        ("float", "<f4", ROWS[0].tolist()),
        ("float16", "<f2", [0.5, -0.5, 0.0, 0.25, -0.25, 0.5, -0.5, 0.0]),
        ("int8", "|i1", [127, -127, 0, 64, -64, 127, -127, 0]),
        ("uint8", "|u1", [255, 1, 128, 192, 64, 255, 1, 128]),
        ("ubinary", "|u1", [0b10010101]),
        ("binary", "|i1", [0b10010101 - 128]),
    ],
)
def test_each_type(name: OutputName, dtype: str, values: list[float]) -> None:
    converted = convert(ROWS, TYPES[name], 0.5)
    assert converted.dtype.str == dtype
    np.testing.assert_allclose(converted, [values], atol=1e-7)
    assert converted.shape[1] == TYPES[name].width(8)


@given(arrays.arrays(np.float32, (3, 16), elements=st.floats(-1, 1, width=32)), st.floats(1e-6, 1.0))
def test_codes_never_wrap_and_rescale_within_half_a_step(vectors: Vectors, limit: float) -> None:
    codes, shifted = (convert(vectors, TYPES[name], limit).astype(int) for name in ("int8", "uint8"))
    assert abs(codes).max() <= 127
    np.testing.assert_array_equal(codes + 128, shifted)
    held = np.clip(vectors, -limit, limit)
    np.testing.assert_allclose(codes * (limit / 127), held, atol=limit / 127 * 0.5001)


@pytest.mark.parametrize("name", OUTPUT_NAMES)
def test_float32_is_not_copied_and_others_are_bounded(name: OutputName) -> None:
    converted = convert(ROWS, TYPES[name])
    assert np.shares_memory(converted, ROWS) == (name == "float")
    longest = max(len(str(value)) for value in converted[0].tolist()) + 1
    assert longest <= TYPES[name].json_bytes


def test_ranges_cover_the_calibration_at_every_number_of_dimensions() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 24)).astype(np.float32)
    vectors[0, :3] = 0  # a prefix that holds nothing
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ranges = calibrate_ranges(vectors)
    assert len(ranges) == 24
    assert ranges[0] == 1
    for dimensions in (2, 8, 24):
        cut = vectors[1:, :dimensions]
        cut = cut / np.linalg.norm(cut, axis=1, keepdims=True)
        assert abs(cut).max() <= ranges[dimensions - 1] <= 1
    assert ranges[23] < ranges[7]
