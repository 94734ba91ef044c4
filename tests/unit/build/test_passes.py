"""The base class: unsupported graphs and failing passes raise different errors, which name the passes before."""

from collections.abc import Callable

import onnx_ir as ir
import pytest

from build.passes import GraphPass, UnsupportedGraphError, apply


class Rename(GraphPass):
    """Renames the graph and reports `times` changes."""

    def __init__(self, name: str, times: int = 1) -> None:
        super().__init__()
        self.name = name
        self._times = times

    def rewrite(self, model: ir.Model) -> int:
        if self._times:
            model.graph.name = self.name
        return self._times


class Named(Rename):
    """Requires one graph name and ensures another."""

    def requires(self, model: ir.Model) -> None:
        if model.graph.name != "first":
            raise UnsupportedGraphError(f"the graph is called {model.graph.name!r}")

    def ensures(self, model: ir.Model) -> None:
        if model.graph.name != "second":
            raise ir.passes.PostconditionError("the graph was not renamed")


class Broken(Rename):
    """Raises an unexpected error."""

    def rewrite(self, model: ir.Model) -> int:
        raise KeyError(model.graph.name)


def empty() -> ir.Model:
    return ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 18}), ir_version=10)


def test_runs_in_order_and_names_what_ran() -> None:
    model = empty()
    assert apply(model, [Rename("first"), Named("second", 3)]) == ["first", "second"]
    assert model.graph.name == "second"


def test_an_unsupported_graph_names_the_pass_and_its_predecessors() -> None:
    with pytest.raises(UnsupportedGraphError, match=r"called 'other' \(pass 'second', passes before it: other\)"):
        apply(empty(), [Rename("other"), Named("second"), Rename("third")])


@pytest.mark.parametrize(
    ("defect", "error"),
    [
        (lambda: Rename("second", times=0), ir.passes.PostconditionError),
        (lambda: Named("third"), ir.passes.PostconditionError),
        (lambda: Broken("second"), KeyError),
    ],
    ids=["changes nothing", "breaks its promise", "raises"],
)
def test_a_defect_is_no_unsupported_graph(defect: Callable[[], GraphPass], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        apply(empty(), [Rename("first"), defect()])
    assert not isinstance(caught.value, UnsupportedGraphError)
    assert caught.value.__notes__[-1].endswith("passes before it: first")
