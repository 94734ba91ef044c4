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
    """A linear layer, `source @ weight + bias`: a MatMul and the Add behind it."""

    product: ir.Node
    sum: ir.Node

    @property
    def source(self) -> ir.Value:
        """What the layer reads, `[rows, in]`."""
        return self.product.inputs[0]

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
        return self._source_is("Gelu")

    @property
    def reads_attention(self) -> bool:
        """Whether the layer reads attention's result, which is linear in the values' projection."""
        return self._source_is("ConcatFromSequence")

    def _source_is(self, op_type: str) -> bool:
        producer = self.source.producer()
        return producer is not None and producer.op_type == op_type

    def weight(self) -> Floats:
        """The weight `[in, out]`."""
        return _floats(self.product.inputs[1])

    @property
    def bias_value(self) -> ir.Value:
        """The bias `[out]` as a value of the graph."""
        return self.sum.inputs[self._bias_index]

    def bias(self) -> Floats:
        """The bias `[out]`."""
        return _floats(self.bias_value)

    def set_weight(self, weight: Floats) -> None:
        """Replace the weight's numbers."""
        _replace(self.product.inputs[1], weight)

    def set_bias(self, bias: Floats) -> None:
        """Replace the bias's numbers."""
        _replace(self.bias_value, bias)

    def detach(self) -> ir.Value:
        """Take the product and its weight out of the graph; the product's value, which the Add still reads."""
        weight, result, graph = self.product.inputs[1], self.product.outputs[0], self.product.graph
        self.product.replace_input_with(1, None)
        self.product.replace_input_with(0, None)
        graph.remove(self.product)
        del graph.initializers[weight.name]
        return result

    @property
    def _bias_index(self) -> int:
        return 0 if self.sum.inputs[1] is self.product.outputs[0] else 1


def linears(graph: ir.Graph) -> Iterator[Linear]:
    """The layers to quantize, in order.

    Raises:
        BuildError: a product with a constant that no bias follows, a weight that layers share, or no layer at all.
    """
    found = 0
    for node in list(graph):
        weight = matrix(node)
        if weight is None or (weight.name or "").endswith(KEPT):
            continue
        add = only_consumer(node.outputs[0])
        if len(weight.uses()) > 1:
            raise BuildError(f"{weight.name!r} is the weight of several layers, which could not be changed apart")
        if add is None or add.op_type != "Add" or all(array(value) is None for value in add.inputs):
            raise BuildError(f"no bias follows {node.name!r}")
        found += 1
        yield Linear(node, add)
    if not found:
        raise BuildError("the graph has no linear layers to quantize")


def _floats(value: ir.Value) -> Floats:
    return numbers(value).astype(np.float32, copy=False)


def _replace(value: ir.Value, new: Floats) -> None:
    value.const_value = ir.tensor(np.ascontiguousarray(new, np.float32), name=value.name)
    value.shape = ir.Shape(new.shape)
