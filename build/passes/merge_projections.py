"""Merge the projections that attention reads: one matrix product in place of three on the same tokens."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.passes import GraphPass
from build.passes.fuse_attention import OPERATOR
from build.passes.graph import Scope, array, matrix, module, numbers


@dataclass(frozen=True)
class _Linear:
    """A linear layer: its Add and its MatMul, what it reads, its weight `[in, out]` and its bias `[out]`."""

    nodes: list[ir.Node]
    source: ir.Value
    weight: NDArray[np.generic]
    bias: NDArray[np.generic]


class MergeProjectionsPass(GraphPass):
    """Query, key and value in one product where they read the same tokens; key and value where only they do."""

    name = "merge-projections"

    def rewrite(self, model: ir.Model) -> int:
        """Merge at every attention; the weight is called `….qkv.weight` (or `….kv.weight`)."""
        attentions = [node for node in model.graph if node.op_type == OPERATOR]
        merged = sum(
            _merge(model.graph, node, [0, 1, 2], "qkv") or _merge(model.graph, node, [1, 2], "kv")
            for node in attentions
        )
        model.graph.sort()
        return merged


def _merge(graph: ir.Graph, attention: ir.Node, inputs: list[int], label: str) -> bool:
    values = [attention.inputs[index] for index in inputs]
    layers = [layer for value in values if (layer := _linear(value)) is not None]
    if len(layers) != len(inputs) or len({id(layer.source) for layer in layers}) > 1:
        return False
    scope = Scope(graph, f"{module(*values)}/{label}")
    name = scope.path.strip("/").replace("/", ".")
    weight = scope.weight(f"{name}.weight", np.concatenate([layer.weight for layer in layers], axis=1))
    bias = scope.weight(f"{name}.bias", np.concatenate([layer.bias for layer in layers]))
    product = scope.op("Add", scope.op("MatMul", layers[0].source, weight), bias)
    for index, part in zip(inputs, scope.split(product, len(inputs)), strict=True):
        attention.replace_input_with(index, part)
    _drop(graph, layers)
    return True


def _linear(value: ir.Value) -> _Linear | None:
    """The linear layer that makes this value, `x @ weight + bias` with the terms in either order."""
    add = value.producer()
    terms = list(add.inputs) if add is not None and add.op_type == "Add" else []
    for product, bias in (terms, terms[::-1]) if terms else ():
        node, shift = product.producer(), array(bias)
        if node is not None and shift is not None and (weight := matrix(node)) is not None:
            return _Linear([add, node], node.inputs[0], numbers(weight), shift)
    return None


def _drop(graph: ir.Graph, layers: list[_Linear]) -> None:
    """Remove the layers that were merged, so that no weight is held twice."""
    for layer in layers:
        constants = [value for node in layer.nodes for value in node.inputs if value.is_initializer()]
        graph.remove(layer.nodes, safe=True)
        for constant in constants:
            if not constant.uses():
                del graph.initializers[constant.name]
