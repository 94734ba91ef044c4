"""What becomes of a graph that the packing passes do not know, and of a pass that has a defect."""

import onnx_ir as ir
import pytest

from build.passes.pack_tokens import PackTokensPass
from build.variants import Graphs, NoRecipeError, convert, prepare
from tests.unit.build.graphs import MEAN, Exported, plain, texts


def prepared(model: ir.Model) -> Graphs:
    """The graphs that all variants are made from."""
    return prepare(model, [], MEAN, texts(5, 1, 12))


def unknown(exported: Exported) -> ir.Model:
    """A graph whose attention has no known form."""
    model = plain(exported("bert"))
    for node in model.graph:
        if node.op_type == "Softmax":
            node.op_type = "Hardmax"
    return model


def test_an_unsupported_graph_stays_as_exported(exported: Exported) -> None:
    graphs = prepared(unknown(exported))
    assert graphs.packed is None
    assert graphs.notes[0].startswith("not padding-free, served as exported: the graph has no attention in one of")
    assert convert(graphs, "fp32") == (graphs.plain, [])
    with pytest.raises(NoRecipeError, match=r"fp32-cuda cannot be made.*no attention in one of"):
        convert(graphs, "fp32-cuda")


def _changes_nothing(*_: object) -> int:
    return 0


def _promises_too_much(_: object, model: ir.Model) -> int:
    model.graph.name = "renamed"
    return 1


def _stumbles(_: object, model: ir.Model) -> int:
    raise KeyError(model.graph.name)


DEFECTS = [
    (_changes_nothing, ir.passes.PostconditionError),
    (_promises_too_much, ir.passes.PostconditionError),
    (_stumbles, KeyError),
]


@pytest.mark.parametrize(("rewrite", "error"), DEFECTS)
def test_a_defect_is_not_shipped_as_the_plain_graph(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, rewrite: object, error: type[Exception]
) -> None:
    model = plain(exported("bert"))
    healthy = prepared(model)
    monkeypatch.setattr(PackTokensPass, "rewrite", rewrite)
    with pytest.raises(error):
        prepared(model)
    with pytest.raises(error):
        convert(healthy, "fp16-cuda")
