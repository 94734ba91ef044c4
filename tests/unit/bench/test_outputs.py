import numpy as np
import pytest

from bench.fidelity import Rows
from bench.outputs import OutputScheme, neighbours, schemes
from server.model.output_types import TYPES, calibrate_ranges, convert
from server.model.stored_codes import decode


@pytest.fixture(scope="module")
def vectors() -> Rows:
    rows = np.random.default_rng(0).normal(size=(150, 64)).astype(np.float32)
    unit: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def test_the_types_order_as_expected(vectors: Rows) -> None:
    ranges = calibrate_ranges(vectors)
    found = {scheme.name: (scheme, neighbours(scheme, vectors)) for scheme in schemes(64, lambda d: ranges[d - 1])}
    kept = {name: alone for name, (_, (alone, _)) in found.items()}
    assert kept["float"] == 1
    assert kept["float16"] > 0.99
    assert kept["int8"] == kept["uint8"] > 0.9 > kept["binary"] > kept["float, 2 dimensions"]
    assert found["binary"][1][1] > kept["binary"]
    sizes = {name: scheme.size for name, (scheme, _) in found.items()}
    assert (sizes["float"], sizes["int8"], sizes["binary"], sizes["float, 2 dimensions"]) == (256, 64, 8, 8)


def test_both_kinds_of_bits_are_the_signs(vectors: Rows) -> None:
    for name in ("binary", "ubinary"):
        signs = decode(convert(vectors, TYPES[name]), TYPES[name])
        np.testing.assert_array_equal(signs > 0, vectors > 0)


def test_rescoring_brings_back_what_the_first_hundred_hold(vectors: Rows) -> None:
    reversed_order = OutputScheme("worst", 0, lambda rows: -np.roll(rows, 1, axis=0))
    alone, rescored = neighbours(reversed_order, vectors)
    assert rescored > alone
