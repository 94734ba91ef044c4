"""The passes' graph helpers."""

import numpy as np
import onnx_ir as ir
import pytest

from build.errors import BuildError
from build.passes import UnsupportedGraphError
from build.passes import graph as graphs
from build.passes.graph import Scope


def empty() -> ir.Graph:
    value = ir.Value(name="x", shape=ir.Shape([None]), type=ir.TensorType(ir.DataType.FLOAT))
    return ir.Graph([value], [], nodes=[], opset_imports={"": 18})


def test_scope_numbers_its_nodes_and_shares_its_constants() -> None:
    graph = empty()
    scope = Scope(graph, "/a/b")
    first, second = (scope.op("Add", graph.inputs[0], scope.ints(1, 2)) for _ in range(2))
    assert [first.producer().name, second.producer().name] == ["/a/b/Add", "/a/b/Add_1"]
    assert Scope(graph, "/a/b").op("Add", first, second).producer().name == "/a/b/Add_2"
    assert list(graph.initializers) == ["a.b.1_2"]


def test_value_inputs_stop_at_shapes() -> None:
    graph = empty()
    scope = Scope(graph, "/s")
    shape = scope.op("Shape", graph.inputs[0])
    assert graphs.value_inputs(shape) == set()
    assert graphs.value_inputs(scope.op("Add", shape, scope.op("Cast", graph.inputs[0], to=7))) == {"x"}


def test_module_is_the_path_that_producers_share() -> None:
    graph = empty()
    query, key = (Scope(graph, f"/l.0/self/{name}").op("Add", graph.inputs[0]) for name in ("query", "key"))
    assert graphs.module(query, key) == "/l.0/self"
    assert graphs.module(query) == "/l.0/self/query"
    assert graphs.module(graph.inputs[0]) == ""


def test_constants() -> None:
    graph = empty()
    pair = Scope(graph, "/s").ints(4, 5)
    np.testing.assert_array_equal(graphs.numbers(pair), [4, 5])
    assert graphs.scalar(pair) is None
    assert graphs.array(graph.inputs[0]) is None
    with pytest.raises(BuildError, match="'x' is not a constant"):
        graphs.numbers(graph.inputs[0])


def test_pooled_needs_a_normalised_output() -> None:
    with pytest.raises(ir.passes.PreconditionError, match="pool its output first"):
        graphs.pooled(empty())
    with pytest.raises(UnsupportedGraphError, match="no input 'y'"):
        graphs.graph_input(empty(), "y")
