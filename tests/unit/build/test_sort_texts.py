"""Sorting inside the graph: texts of equal length adjacent, vectors in the caller's order."""

import numpy as np
import pytest

from build.passes import UnsupportedGraphError, apply
from build.passes.sort_texts import SortTextsPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import Exported, before, packed, texts


@pytest.mark.parametrize("lengths", [[5, 1, 12, 5, 12, 1], [4], [3, 3, 3]])
def test_order_is_restored(exported: Exported, run: Run, lengths: list[int]) -> None:
    unsorted, ordered = (before(exported("bert"), "sort-texts") for _ in range(2))
    assert apply(ordered, [SortTextsPass()]) == ["sort-texts"]
    np.testing.assert_allclose(run(ordered, texts(*lengths)), run(unsorted, texts(*lengths)), atol=1e-6)


def test_one_turn_for_each_length(exported: Exported, run: Run) -> None:
    model = packed(exported("bert"))
    turns = next(node for node in model.graph.all_nodes() if node.op_type == "Loop").inputs[0]
    model.graph.outputs[:] = [turns]
    assert run(model, texts(5, 1, 12, 5, 12, 1)) == 3
    assert run(model, texts(7, 7, 7, 7)) == 1


def test_inputs_are_read_by_the_sorting_alone(exported: Exported) -> None:
    for value in packed(exported("bert")).graph.inputs:
        assert all((node.name or "").startswith("/sorting/") for node in value.consumers())


def test_must_not_fire_on_other_inputs(exported: Exported) -> None:
    model = before(exported("bert"), "sort-texts")
    model.graph.inputs[1].name = "mask"
    with pytest.raises(UnsupportedGraphError, match="no input 'attention_mask'"):
        apply(model, [SortTextsPass()])
