"""Add the layers after pooling to the graph: Dense, LayerNorm, and normalisation that is not the last."""

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from build.layers import DenseLayer, Layer, ScaleLayer
from build.passes import GraphPass
from build.passes.graph import LAYERS, Scope, pooled
from build.passes.pool_output import normalize
from server.model.manifest import ADDED_LAYERS

# torch.nn.LayerNorm's.
_EPSILON = 1e-5
_ONE_OPERATOR = {"Tanh": "Tanh", "ReLU": "Relu", "Sigmoid": "Sigmoid"}


class AddLayersPass(GraphPass):
    """Insert `layers` between pooling and the final normalisation."""

    name = ADDED_LAYERS

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self._layers = layers

    def requires(self, model: ir.Model) -> None:
        """The output is pooled, and the graph has no such layers yet."""
        pooled(model.graph)
        if any((node.name or "").startswith(LAYERS) for node in model.graph):
            raise ir.passes.PreconditionError("the graph has such layers already")

    def rewrite(self, model: ir.Model) -> int:
        """Insert the layers in order."""
        graph = model.graph
        end = pooled(graph)
        readers, value = list(end.uses()), end
        for number, layer in enumerate(self._layers):
            value = _add(graph, f"{LAYERS}{number}", layer, value)
        for node, index in readers:
            node.replace_input_with(index, value)
        unit = graph.outputs[0]
        widths = [layer.weight.shape[0] for layer in self._layers if isinstance(layer, DenseLayer)]
        unit.shape = ir.Shape([unit.shape[0], widths[-1] if widths else unit.shape[1]])
        graph.sort()
        return len(self._layers)


def _add(graph: ir.Graph, path: str, layer: Layer, value: ir.Value) -> ir.Value:
    scope = Scope(graph, path)
    if isinstance(layer, DenseLayer):
        return _activate(scope, layer.activation, _linear(graph, path, layer, value))
    if isinstance(layer, ScaleLayer):
        own = (scope.constant("weight", layer.weight), scope.constant("bias", layer.bias))
        return scope.op("LayerNormalization", value, *own, epsilon=_EPSILON)
    return normalize(scope, value)


def _linear(graph: ir.Graph, path: str, layer: DenseLayer, value: ir.Value) -> ir.Value:
    # Gemm, because the int8 recipes quantize MatMul: with one row per text there is no time to gain.
    scope = Scope(graph, f"{path}/linear")
    inputs = [value, scope.constant("weight", layer.weight)]
    inputs += [] if layer.bias is None else [scope.constant("bias", layer.bias)]
    return scope.op("Gemm", *inputs, transB=1)


def _activate(scope: Scope, activation: str, value: ir.Value) -> ir.Value:
    """Apply the activation; first inputs lead back to `value`, because `pooled` follows them."""
    if activation == "GELU":  # the form that the exporter emits, which FuseGeluPass fuses
        root, one, half = (_number(scope, number) for number in (math.sqrt(2), 1, 0.5))
        shifted = scope.op("Add", scope.op("Erf", scope.op("Div", value, root)), one)
        return scope.op("Mul", scope.op("Mul", value, shifted), half)
    if activation == "SiLU":
        return scope.op("Mul", value, scope.op("Sigmoid", value))
    return scope.op(_ONE_OPERATOR[activation], value) if activation in _ONE_OPERATOR else value


def _number(scope: Scope, number: float) -> ir.Value:
    return scope.constant(f"{float(number):.4}", np.array(number, np.float32))
