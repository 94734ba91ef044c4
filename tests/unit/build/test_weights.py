"""int8 weights: symmetric, a scale per output channel, never -128."""

import numpy as np
import pytest

from build.quantize.weights import FULL, REDUCED, quantize


@pytest.mark.parametrize("limit", [FULL, REDUCED])
def test_error_is_half_a_step_at_most(limit: int) -> None:
    weight = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32) * np.logspace(
        -3, 3, 8, dtype=np.float32
    )
    packed = quantize(weight, limit)
    assert packed.values.dtype == np.int8
    assert np.abs(packed.values.astype(int)).max() == limit
    assert (np.abs(packed.values * packed.scale - weight) <= packed.scale * 0.5001).all()


def test_a_column_of_zeros_stays_zero() -> None:
    packed = quantize(np.zeros((4, 2), np.float32))
    assert not packed.values.any()
    assert np.isfinite(packed.scale).all()


def test_column_sums_are_those_of_the_rounded_weight() -> None:
    packed = quantize(np.array([[1.0, -0.3], [0.5, 0.2]], np.float32))
    np.testing.assert_allclose(packed.column_sums(), (packed.values * packed.scale).sum(axis=0), rtol=1e-6)
