import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.inference.engine import Vectors
from server.model.output_types import OUTPUT_NAMES, TYPES, OutputName, convert
from server.model.stored_codes import closeness, decode, least_closeness

CODED: tuple[OutputName, ...] = ("int8", "uint8", "binary", "ubinary")


def units(seed: int, rows: int = 4, dimension: int = 32) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    unit: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("name", OUTPUT_NAMES)
def test_decoded_rows_have_the_cosines_of_the_codes_in_whatever_numbers_a_client_returns_them(name: OutputName) -> None:
    vectors = units(1)
    stored = convert(vectors, TYPES[name], 0.5)
    rows = decode(stored.astype(np.float64), TYPES[name])
    assert np.array_equal(rows, decode(stored, TYPES[name]))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T - vectors @ vectors.T).max() < (0.6 if TYPES[name].packed else 0.02)


@given(st.integers(0, 1000), st.sampled_from(CODED), st.floats(0.1, 1.0), st.floats(0, 0.1))
def test_what_was_converted_is_never_further_than_the_vector_itself(
    seed: int, name: OutputName, limit: float, away: float
) -> None:
    vectors = units(seed)
    moved = vectors + np.float32(away) * units(seed + 1)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    near = closeness(convert(moved, TYPES[name], limit), vectors, TYPES[name], limit)
    assert (near >= (moved * vectors).sum(axis=1) - 1e-6).all()
    assert np.allclose(closeness(convert(vectors, TYPES[name], limit), vectors, TYPES[name], limit), 1, atol=1e-9)


@pytest.mark.parametrize("name", CODED)
def test_codes_of_other_vectors_are_far(name: OutputName) -> None:
    vectors, kind = units(1, dimension=256), TYPES[name]
    for other in (units(2, dimension=256), vectors * 0):
        assert (closeness(convert(other, kind, 0.5), vectors, kind, 0.5) < 0.9).all()


@pytest.mark.parametrize("name", ["binary", "ubinary"])
def test_bits_have_a_limit_that_tells_another_vector_from_rounding(name: OutputName) -> None:
    vectors, other, kind = units(1, 200, 384), units(2, 200, 384), TYPES[name]
    limit = least_closeness(kind, 0.98)
    assert limit == pytest.approx(0.9975, abs=1e-4)
    for cosine, found in ((0.9, True), (0.99, False)):
        across = other - (other * vectors).sum(axis=1, keepdims=True) * vectors
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        moved = np.float32(cosine) * vectors + np.float32(np.sqrt(1 - cosine**2)) * across
        near = closeness(convert(moved, kind), vectors, kind, 1.0)
        assert ((near < limit) == found).all()


def test_codes_of_a_byte_a_component_keep_the_limit_of_their_vectors() -> None:
    assert least_closeness(TYPES["int8"], 0.98) == least_closeness(TYPES["float"], 0.98) == 0.98


@pytest.mark.parametrize(
    ("name", "values"),
    [("int8", -128), ("int8", 0.5), ("uint8", 0), ("uint8", 256), ("ubinary", -1), ("binary", 200), ("int8", np.nan)],
)
def test_what_is_no_code_is_refused(name: OutputName, values: float) -> None:
    with pytest.raises(ValueError, match=f"no codes of {name}"):
        decode(np.full((1, 4), values), TYPES[name])


def test_codes_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="vectors of 16 components, expected 32"):
        closeness(convert(units(1, dimension=16), TYPES["ubinary"]), units(1), TYPES["ubinary"], 1.0)
