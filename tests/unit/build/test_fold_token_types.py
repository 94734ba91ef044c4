"""Removing token types from the inputs does not change results."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.fold_token_types import FoldTokenTypesPass
from tests.unit.build.conftest import Run

TEXTS = [[2, 9, 14, 3], [2, 30, 3], [2, 3]]


def test_structure_and_numbers(exported: Callable[[str], Path], run: Run) -> None:
    before, after = ir.load(exported("bert")), ir.load(exported("bert"))
    assert FoldTokenTypesPass().needed(after)
    apply(after, [FoldTokenTypesPass()])
    assert [value.name for value in after.graph.inputs] == ["input_ids", "attention_mask"]
    np.testing.assert_allclose(run(after, TEXTS), run(before, TEXTS), atol=1e-6)


def test_must_not_fire_without_that_input(exported: Callable[[str], Path]) -> None:
    model = ir.load(exported("distilbert"))
    assert not FoldTokenTypesPass().needed(model)
    with pytest.raises(UnsupportedGraphError, match="no input 'token_type_ids'"):
        FoldTokenTypesPass()(model)


def test_refuses_token_types_that_are_not_a_lookup() -> None:
    types = ir.Value(name="token_type_ids")
    node = ir.node("Cast", [types], attributes={"to": ir.DataType.FLOAT}, name="/cast")
    graph = ir.Graph([types], node.outputs, nodes=[node], opset_imports={"": 18})
    with pytest.raises(UnsupportedGraphError, match=r"feeds Cast '/cast'"):
        apply(ir.Model(graph, ir_version=10), [FoldTokenTypesPass()])
