"""What a mask lets a token attend to, tried out on the exported graph."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError
from build.passes.graph import Scope
from build.passes.mask_reach import window
from tests.unit.build.graphs import Exported, plain


def mask(model: ir.Model, keeps: Callable[[Scope, ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """Add a mask `[1, 1, sequence, sequence]` for which `keeps` tells rows from columns, without padding's."""
    scope = Scope(model.graph, "/tried")
    zero, one = (scope.constant(name, np.array(number, np.int64)) for name, number in (("zero", 0), ("one", 1)))
    tokens = scope.op("Cast", scope.op("Unsqueeze", model.graph.inputs[1], scope.ints(1, 2)), to=ir.DataType.BOOL)
    places = scope.op("Range", zero, scope.op("Squeeze", scope.op("Shape", model.graph.inputs[1], start=1)), one)
    kept = keeps(scope, scope.op("Unsqueeze", places, scope.ints(1)), places)
    none, low = (scope.constant(name, np.array(number, np.float32)) for name, number in (("none", 0), ("low", -1e30)))
    made = scope.op("Where", scope.op("And", tokens, kept), none, low)
    model.graph.sort()
    return made


def test_each_layer_of_a_model_with_local_attention(exported: Exported) -> None:
    model = plain(exported("modernbert"))
    softmaxes = [node for node in model.graph if node.op_type == "Softmax"]
    assert [window(model, node.inputs[0].producer().inputs[1]) for node in softmaxes] == [None, 4]


def test_a_window_is_found_however_far_it_reaches(exported: Exported) -> None:
    model = plain(exported("bert"))
    distant = lambda scope, row, column: scope.op(  # noqa: E731
        "LessOrEqual", scope.op("Abs", scope.op("Sub", row, column)), scope.constant("far", np.array(700, np.int64))
    )
    assert window(model, mask(model, distant)) == 700


def test_a_causal_mask_is_no_window(exported: Exported) -> None:
    model = plain(exported("bert"))
    causal = mask(model, lambda scope, row, column: scope.op("GreaterOrEqual", row, column))
    with pytest.raises(UnsupportedGraphError, match="hides other tokens than padding and distant ones"):
        window(model, causal)
