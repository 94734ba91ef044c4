"""The CPU stand-in uses both tables of packed attention, so that errors in either change the results."""

import numpy as np
import onnx_ir as ir
import pytest

from build.passes import apply
from build.passes.stand_in import StandInPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import Exported, count, for_cuda, plain, texts

_OFFSETS, _BOUNDS = 4, 5


def test_structure(exported: Exported) -> None:
    model = for_cuda(exported("bert"))
    assert apply(model, [StandInPass()]) == ["stand-in"]
    counts = count(model.graph)
    assert (counts["PackedMultiHeadAttention"], counts["MultiHeadAttention"]) == (0, 2)


@pytest.mark.parametrize("table", [_OFFSETS, _BOUNDS], ids=["offsets", "bounds"])
def test_a_wrong_table_shows(exported: Exported, run: Run, table: int) -> None:
    model = for_cuda(exported("bert"))
    for node in model.graph:
        if node.op_type == "PackedMultiHeadAttention":
            right = node.inputs[table]
            break
    readers = list(right.uses())
    # Offsets of 0 put every token in one place; reversed bounds leave every text empty.
    wrong = ir.node("Mul", [right, _zero(model)]) if table == _OFFSETS else ir.node("Neg", [right])
    wrong.name = "/wrong"
    for node, index in readers:
        node.replace_input_with(index, wrong.outputs[0])
    model.graph.append(wrong)
    model.graph.sort()
    apply(model, [StandInPass()])
    sequences = texts(5, 1, 12)
    assert not np.allclose(run(model, sequences), run(plain(exported("bert")), sequences), atol=1e-3, equal_nan=False)


def _zero(model: ir.Model) -> ir.Value:
    value = ir.Value(name="zero", const_value=ir.tensor(np.array(0, np.int32), name="zero"))
    model.graph.register_initializer(value)
    return value


def test_must_not_fire_on_a_graph_for_every_device(exported: Exported) -> None:
    with pytest.raises(ir.passes.PreconditionError, match="no packed attention"):
        apply(plain(exported("bert")), [StandInPass()])
