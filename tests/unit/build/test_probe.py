"""Running a part of a graph."""

import numpy as np
import pytest

from build.passes.probe import probe
from tests.unit.build.graphs import Exported, plain


def test_a_part_is_computed_from_given_values(exported: Exported) -> None:
    model = plain(exported("bert"))
    node = next(node for node in model.graph if node.name == "/encoder/layer.0/intermediate/dense/MatMul")
    weight = node.inputs[1].const_value.numpy()
    row = np.arange(32, dtype=np.float32).reshape(1, 1, 32)
    (found,) = probe(model, {node.inputs[0]: row}, [node.outputs[0]])
    np.testing.assert_allclose(found[0, 0], row[0, 0] @ weight, rtol=1e-4, atol=1e-4)


def test_what_depends_on_more_is_refused(exported: Exported) -> None:
    model = plain(exported("bert"))
    _, mask = model.graph.inputs
    with pytest.raises(ValueError, match="not properly bounded"):
        probe(model, {mask: np.ones((1, 3), np.int64)}, [model.graph.outputs[0]])
