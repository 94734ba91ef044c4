"""Splitting joint projections: the same numbers from one product per part."""

import numpy as np

from build.passes import apply
from build.passes.split_projections import SplitProjectionsPass
from tests.unit.build.conftest import Run
from tests.unit.build.graphs import Exported, count, plain, texts


def test_structure_and_numbers(exported: Exported, run: Run) -> None:
    joint, split = plain(exported("modernbert")), plain(exported("modernbert"))
    assert apply(split, [SplitProjectionsPass()]) == ["split-projections"]
    assert not count(split.graph)["Split"]
    weights = {f"layers.0.{part}.weight" for part in ("attn.query", "attn.key", "attn.value", "mlp.act", "mlp.gate")}
    assert weights <= set(split.graph.initializers)
    assert "layers.0.attn.Wqkv.weight" not in split.graph.initializers
    np.testing.assert_allclose(run(split, texts(5, 1, 12)), run(joint, texts(5, 1, 12)), atol=1e-6)


def test_separate_projections_are_left_alone(exported: Exported) -> None:
    assert apply(plain(exported("bert")), [SplitProjectionsPass()]) == []


def test_unequal_parts_are_left_alone(exported: Exported) -> None:
    model = plain(exported("modernbert"))
    for node in [node for node in model.graph if node.op_type == "Slice" and "/mlp" in (node.name or "")]:
        node.inputs[0].producer().outputs[0].replace_all_uses_with(node.inputs[0])
        node.op_type = "Identity"
        for index in range(1, len(node.inputs)):
            node.replace_input_with(index, None)
        node.resize_inputs(1)
    apply(model, [SplitProjectionsPass()])
    assert "layers.0.mlp.Wi.weight" in model.graph.initializers
