"""The linear layers of a packed graph, which the int8 recipes rewrite."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.errors import BuildError
from build.passes.graph import GELUS, array, folder, matrix, numbers, only_consumer

Floats = NDArray[np.float32]

KEPT = ".outliers.weight"
"""Name suffix of weights that stay in fp32."""


@dataclass(frozen=True)
class Linear:
    """A linear layer, `source @ weight + bias`: a MatMul and its Add, which keys and values lack."""

    product: ir.Node
    sum: ir.Node | None

    @property
    def source(self) -> ir.Value:
        """The layer's input, `[rows, in]`."""
        return self.product.inputs[0]

    @property
    def output(self) -> ir.Value:
        """The layer's output, `[rows, out]`."""
        return self.product.outputs[0] if self.sum is None else self.sum.outputs[0]

    @property
    def name(self) -> str:
        """The module's name, `encoder.layer.0.output.dense`."""
        return (self.product.inputs[1].name or "").removesuffix(".weight")

    @property
    def path(self) -> str:
        """The module's path in node names, `/encoder/layer.0/output/dense`."""
        return folder(self.product)

    @property
    def reads_gelu(self) -> bool:
        """Whether the input is a Gelu's output, which is at least -0.17."""
        producer = self.source.producer()
        return producer is not None and producer.op_type in GELUS

    @property
    def reads_attention(self) -> bool:
        """Whether the input is attention's output, which is linear in the value projection."""
        rows = self.source.producer()
        choice = rows.inputs[0].producer() if rows is not None and rows.op_type == "Reshape" else None
        return choice is not None and choice.op_type == "If"

    def weight(self) -> Floats:
        """The weight `[in, out]`."""
        return _floats(self.product.inputs[1])

    def smoothed(self, divisor: Floats | None) -> Floats:
        """Return the weight for an input whose channels were divided by `divisor`, `[in]`."""
        return self.weight() if divisor is None else self.weight() * divisor[:, None]

    @property
    def bias_value(self) -> ir.Value | None:
        """The bias `[out]` as a graph value; None without bias."""
        if self.sum is None:
            return None
        return self.sum.inputs[0 if self.sum.inputs[1] is self.product.outputs[0] else 1]

    def bias(self) -> Floats:
        """The bias `[out]`.

        Raises:
            BuildError: the layer has none.
        """
        return _floats(self._own_bias())

    def set_weight(self, weight: Floats) -> None:
        """Replace the weight's content."""
        _replace(self.product.inputs[1], weight)

    def set_bias(self, bias: Floats) -> None:
        """Replace the bias's content.

        Raises:
            BuildError: the layer has none.
        """
        _replace(self._own_bias(), bias)

    def _own_bias(self) -> ir.Value:
        if self.bias_value is None:
            raise BuildError(f"no bias follows {self.product.name!r}")
        return self.bias_value

    def detach(self) -> ir.Value:
        """Remove the product and its weight from the graph; return the product's value, which still has consumers."""
        weight, result, graph = self.product.inputs[1], self.product.outputs[0], self.product.graph
        self.product.replace_input_with(1, None)
        self.product.replace_input_with(0, None)
        graph.remove(self.product)
        del graph.initializers[weight.name]
        return result


def linears(graph: ir.Graph) -> Iterator[Linear]:
    """Yield the layers to quantize, in order.

    Raises:
        BuildError: layers share a weight, or there are no layers.
    """
    count = 0
    for node in list(graph):
        weight = matrix(node)
        if weight is None or (weight.name or "").endswith(KEPT):
            continue
        if len(weight.uses()) > 1:
            raise BuildError(f"{weight.name!r} is the weight of several layers, which could not be changed apart")
        count += 1
        yield Linear(node, _sum(node))
    if not count:
        raise BuildError("the graph has no linear layers to quantize")


def siblings(graph: ir.Graph) -> Iterator[list[Linear]]:
    """Yield the layers to quantize in groups with the same input, which share its quantization.

    Raises:
        BuildError: as for `linears`.
    """
    by_source: dict[ir.Value, list[Linear]] = {}
    for layer in linears(graph):
        by_source.setdefault(layer.source, []).append(layer)
    yield from by_source.values()


def _sum(product: ir.Node) -> ir.Node | None:
    add = only_consumer(product.outputs[0])
    has_bias = add is not None and add.op_type == "Add" and any(array(value) is not None for value in add.inputs)
    return add if has_bias else None


def _floats(value: ir.Value) -> Floats:
    return numbers(value).astype(np.float32, copy=False)


def _replace(value: ir.Value, new: Floats) -> None:
    value.const_value = ir.tensor(np.ascontiguousarray(new, np.float32), name=value.name)
    value.shape = ir.Shape(new.shape)
