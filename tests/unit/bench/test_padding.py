import numpy as np
import pytest

from bench.contenders.padding import pad, pool

SEQUENCES = [[5, 6, 7], [8]]


def test_padding_is_on_the_right() -> None:
    ids, mask = pad(SEQUENCES)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_sees_real_tokens_only_and_returns_unit_vectors(pooling: str) -> None:
    _, mask = pad(SEQUENCES)
    hidden = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    spoilt = hidden.copy()
    spoilt[1, 1:] = 1e6
    vectors = pool(hidden, mask, pooling)
    expected = hidden[0, 0] if pooling == "cls" else hidden[0].mean(0)
    np.testing.assert_allclose(vectors[0], expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_array_equal(pool(spoilt, mask, pooling), vectors)


def test_other_poolings_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"pools by mean\+max; peers are compared in cls and mean alone"):
        pool(np.zeros((1, 1, 4), np.float32), np.ones((1, 1), np.int64), "mean+max")
