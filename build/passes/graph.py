"""Helpers for passes: inspect values, and add nodes named by module path."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.errors import BuildError
from build.passes import UnsupportedGraphError

MICROSOFT = "com.microsoft"
GELUS = {"Gelu", "FastGelu"}
"""Fused Gelu: exact, and by the tanh approximation that ALBERT and others were trained with."""
PER_TOKEN = {"Add", "Mul", "LayerNormalization", *GELUS}
"""Operators, beside linear layers, that compute each token by itself."""
LAYERS = "/sentence_layers/"
"""Node path of the layers between pooling and the final normalisation."""


class Scope:
    """Adds nodes under a module path: `Scope(graph, "/packing").op("Gather", …)` adds `/packing/Gather`."""

    def __init__(self, graph: ir.Graph, path: str) -> None:
        self.graph = graph
        self._tape = ir.tape.Tape(graph)
        self.path = path
        self._taken = {node.name for node in graph if (node.name or "").startswith(f"{path}/")}
        self._constants = graph.initializers

    def op(self, op_type: str, *inputs: ir.Value | None, domain: str = "", **attributes: object) -> ir.Value:
        """Append a node with one output; the caller must sort the graph afterwards."""
        name = self._name(op_type)
        output = ir.Value(name=f"{name}_output_0")
        return self._tape.op(op_type, inputs, attributes=attributes, domain=domain, name=name, output=output)

    def ops(self, count: int, op_type: str, *inputs: ir.Value, **attributes: object) -> list[ir.Value]:
        """Append a node with `count` outputs."""
        name = self._name(op_type)
        outputs = [ir.Value(name=f"{name}_output_{index}") for index in range(count)]
        return list(self._tape.op_multi_out(op_type, inputs, attributes=attributes, outputs=outputs, name=name))

    def constant(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        """Return the constant of this name under the path, creating it on first use."""
        full = f"{self.path.strip('/').replace('/', '.')}.{name}"
        if full in self._constants:
            return self._constants[full]
        return self._tape.initializer(ir.tensor(array, name=full))

    def own(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        """Add a constant that is not shared, though one of this name may exist: ALBERT calls one module many times."""
        number, full = 0, name
        while f"{self.path.strip('/').replace('/', '.')}.{full}" in self._constants:
            number += 1
            full = f"{name}_{number}"
        return self.constant(full, array)

    def ints(self, *values: int) -> ir.Value:
        """Return a constant int64 vector."""
        return self.constant("_".join(map(str, values)), np.array(values, np.int64))

    def weight(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        """Add a constant with a module's full name, `encoder.layer.0.output.dense.weight`."""
        return self._tape.initializer(ir.tensor(np.ascontiguousarray(array), name=name))

    def _name(self, op_type: str) -> str:
        name, count = f"{self.path}/{op_type}", 0
        while name in self._taken:
            count += 1
            name = f"{self.path}/{op_type}_{count}"
        self._taken.add(name)
        return name


def array(value: ir.Value | None) -> NDArray[np.generic] | None:
    """Return the content of an initializer or Constant node; None for computed values."""
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return None if tensor is None else np.asarray(tensor.numpy())


def numbers(value: ir.Value | None) -> NDArray[np.generic]:
    """Return the content of a constant.

    Raises:
        BuildError: the value is computed.
    """
    data = array(value)
    if data is None:
        raise BuildError(f"{value.name if value is not None else None!r} is not a constant")
    return data


def is_constant(value: ir.Value) -> bool:
    """Return whether the value is an initializer or a Constant node's, without loading it."""
    producer = value.producer()
    return value.const_value is not None or (producer is not None and producer.op_type == "Constant")


def scalar(value: ir.Value | None) -> float | None:
    """Return the element of a one-element constant; None otherwise."""
    numbers = array(value)
    return float(numbers.reshape(-1)[0]) if numbers is not None and numbers.size == 1 else None


def matrix(node: ir.Node) -> ir.Value | None:
    """Return the weight `[in, out]` of a linear layer's MatMul; None for other nodes."""
    weight = node.inputs[1] if node.op_type == "MatMul" else None
    shape = weight.shape if weight is not None and weight.const_value is not None else None
    return weight if shape is not None and len(shape) == 2 else None


def only_consumer(value: ir.Value) -> ir.Node | None:
    """Return the value's only consumer; None if there are several or none, or the value is an output."""
    consumers = value.consumers()
    return consumers[0] if len(consumers) == 1 and not value.is_graph_output() else None


def value_inputs(value: ir.Value) -> set[str]:
    """Return the graph inputs that this value depends on by content, not only by shape."""
    sources = ancestors(value, lambda node: node.op_type != "Shape")
    return {source.name or "" for source in sources if source.is_graph_input()}


def ancestors(value: ir.Value, into: Callable[[ir.Node], bool] = lambda _: True) -> Iterator[ir.Value]:
    """Yield the value and all that it is computed from, each once, through the nodes that `into` admits."""
    seen: set[ir.Value] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        yield current
        producer = current.producer()
        if producer is not None and into(producer):
            pending += [source for source in producer.inputs if source is not None]


def folder(node: ir.Node) -> str:
    """Return the module path in a node's name: `/encoder/layer.0/output/dense` for `…/dense/MatMul`."""
    return (node.name or "").rpartition("/")[0]


def module(*values: ir.Value) -> str:
    """Return the common module path of the values' producers: `/encoder/layer.0/attention/self`."""
    folders = [PurePosixPath(folder(producer)) for value in values if (producer := value.producer()) is not None]
    if not folders:
        return ""
    shared = next(path for path in (folders[0], *folders[0].parents) if all(f.is_relative_to(path) for f in folders))
    return str(shared).rstrip("/")


def name_after(graph: ir.Graph, operators: Collection[str], path: Callable[[ir.Node], str]) -> None:
    """Name fused nodes after their modules, numbered where one module is called several times, as in ALBERT."""
    called: Counter[str] = Counter()
    for node in graph:
        if node.op_type in operators:
            name = f"{path(node)}/{node.op_type}"
            node.name = f"{name}_{called[name]}" if called[name] else name
            node.outputs[0].name = f"{node.name}_output_0"
            called[name] += 1


def graph_input(graph: ir.Graph, name: str) -> ir.Value:
    """Return the graph input of this name.

    Raises:
        UnsupportedGraphError: the graph has no such input.
    """
    for value in graph.inputs:
        if value.name == name:
            return value
    raise UnsupportedGraphError(f"the graph has no input {name!r}")


def pooled(graph: ir.Graph) -> ir.Value:
    """Return the sentence vector as pooled, `[batch, hidden]`: before the sentence layers and the normalisation.

    Raises:
        PreconditionError: the graph does not end in a normalisation.
    """
    producer = graph.outputs[0].producer() if len(graph.outputs) == 1 else None
    if producer is None or producer.op_type != "Div" or producer.inputs[0] is None:
        raise ir.passes.PreconditionError("the graph does not end in one normalised vector: pool its output first")
    value = producer.inputs[0]
    while (node := value.producer()) is not None and (node.name or "").startswith(LAYERS):
        value = node.inputs[0]
    return value


def is_first_row(node: ir.Node) -> bool:
    """Return whether the node selects each text's first token: `[batch, sequence, hidden]` at sequence 0."""
    return node.op_type == "Gather" and node.attributes.get_int("axis", 0) == 1 and scalar(node.inputs[1]) == 0


def require_opset(model: ir.Model, domain: str, version: int = 1) -> None:
    """Declare an operator domain that the graph uses."""
    model.opset_imports.setdefault(domain, version)
