from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.contenders import Task, plain_export
from bench.contenders.padding import check_comparable, pad, pool

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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pooling": "mean+max"}, r"pools by mean\+max; this peer is compared in cls and mean alone"),
        ({"layers": True}, "has layers after pooling, which this peer does not compute"),
    ],
)
def test_what_a_peer_would_compute_otherwise_is_not_compared(change: dict[str, Any], said: str) -> None:
    task = Task("tiny", "fp32", 1, "", 16, 8, "mean", "", "")
    check_comparable(task)
    with pytest.raises(ValueError, match=said):
        plain_export.load(replace(task, **change))
