"""The linear layers of a packed graph: what the int8 recipes rewrite, one by one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.errors import BuildError
from build.passes.graph import array, folder, matrix, numbers, only_consumer

Floats = NDArray[np.float32]

KEPT = ".outliers.weight"
"""Ending of the names of the weights that stay in fp32."""


@dataclass(frozen=True)
class Linear:
    """A linear layer, `source @ weight + bias`: a MatMul and the Add behind it, which keys and values have not."""

    product: ir.Node
    sum: ir.Node | None

    @property
    def source(self) -> ir.Value:
        """What the layer reads, `[rows, in]`."""
        return self.product.inputs[0]

    @property
    def output(self) -> ir.Value:
        """What the layer gives, `[rows, out]`."""
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
        """Whether the layer reads a Gelu's output, which is never below -0.17."""
        producer = self.source.producer()
        return producer is not None and producer.op_type == "Gelu"

    @property
    def reads_attention(self) -> bool:
        """Whether the layer reads attention's result, which is linear in the values' projection."""
        rows = self.source.producer()
        choice = rows.inputs[0].producer() if rows is not None and rows.op_type == "Reshape" else None
        return choice is not None and choice.op_type == "If"

    def weight(self) -> Floats:
        """The weight `[in, out]`."""
        return _floats(self.product.inputs[1])

    def smoothed(self, divisor: Floats | None) -> Floats:
        """The weight for a source whose channels are divided by `divisor`, `[in]`, beforehand."""
        return self.weight() if divisor is None else self.weight() * divisor[:, None]

    @property
    def bias_value(self) -> ir.Value | None:
        """The bias `[out]` as a value of the graph."""
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
        """Replace the weight's numbers."""
        _replace(self.product.inputs[1], weight)

    def set_bias(self, bias: Floats) -> None:
        """Replace the bias's numbers.

        Raises:
            BuildError: the layer has none.
        """
        _replace(self._own_bias(), bias)

    def _own_bias(self) -> ir.Value:
        if self.bias_value is None:
            raise BuildError(f"no bias follows {self.product.name!r}")
        return self.bias_value

    def detach(self) -> ir.Value:
        """Take the product and its weight out of the graph; the product's value, which others still read."""
        weight, result, graph = self.product.inputs[1], self.product.outputs[0], self.product.graph
        self.product.replace_input_with(1, None)
        self.product.replace_input_with(0, None)
        graph.remove(self.product)
        del graph.initializers[weight.name]
        return result


def linears(graph: ir.Graph) -> Iterator[Linear]:
    """The layers to quantize, in order.

    Raises:
        BuildError: a weight that layers share, or no layer at all.
    """
    found = 0
    for node in list(graph):
        weight = matrix(node)
        if weight is None or (weight.name or "").endswith(KEPT):
            continue
        if len(weight.uses()) > 1:
            raise BuildError(f"{weight.name!r} is the weight of several layers, which could not be changed apart")
        found += 1
        yield Linear(node, _sum(node))
    if not found:
        raise BuildError("the graph has no linear layers to quantize")


def siblings(graph: ir.Graph) -> Iterator[list[Linear]]:
    """The layers to quantize, in order, those together that read the same value and can share its rounding.

    Raises:
        BuildError: as `linears`.
    """
    found: dict[ir.Value, list[Linear]] = {}
    for layer in linears(graph):
        found.setdefault(layer.source, []).append(layer)
    yield from found.values()


def _sum(product: ir.Node) -> ir.Node | None:
    add = only_consumer(product.outputs[0])
    has_bias = add is not None and add.op_type == "Add" and any(array(value) is not None for value in add.inputs)
    return add if has_bias else None


def _floats(value: ir.Value) -> Floats:
    return numbers(value).astype(np.float32, copy=False)


def _replace(value: ir.Value, new: Floats) -> None:
    value.const_value = ir.tensor(np.ascontiguousarray(new, np.float32), name=value.name)
    value.shape = ir.Shape(new.shape)
