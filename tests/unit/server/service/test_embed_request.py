import numpy as np

from server.inference.engine import Vectors
from server.service.embed_request import cut

VECTORS: Vectors = np.array([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]], np.float32)


def test_dimensions_cut_and_bring_back_to_unit_length() -> None:
    np.testing.assert_allclose(cut(VECTORS, 2, normalize=True), [[0.6, 0.8], [0.0, 1.0]], atol=1e-6)
    np.testing.assert_allclose(cut(VECTORS, 2, normalize=False), VECTORS[:, :2])
    assert cut(VECTORS, None, normalize=True) is VECTORS


def test_a_cut_that_leaves_nothing_is_zero_not_nan() -> None:
    assert cut(VECTORS, 1, normalize=True).tolist() == [[1.0], [0.0]]
