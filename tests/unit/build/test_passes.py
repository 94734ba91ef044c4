"""The pass base: a pass that finds nothing to do fails aloud, and says what ran before it."""

import onnx_ir as ir
import pytest

from build.errors import BuildError
from build.passes import GraphPass, apply


class Rename(GraphPass):
    """Renames the graph `times` times."""

    def __init__(self, name: str, times: int) -> None:
        super().__init__()
        self.name = name
        self._times = times

    def rewrite(self, model: ir.Model) -> int:
        model.graph.name = self.name
        return self._times


def empty() -> ir.Model:
    return ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 18}), ir_version=10)


def test_runs_in_order_and_names_what_ran() -> None:
    model = empty()
    assert apply(model, [Rename("first", 1), Rename("second", 3)]) == ["first", "second"]
    assert model.graph.name == "second"


def test_a_pass_without_a_match_names_itself_and_its_predecessors() -> None:
    with pytest.raises(BuildError, match=r"'second' found nothing to rewrite.*passes before it: first"):
        apply(empty(), [Rename("first", 1), Rename("second", 0), Rename("third", 1)])
