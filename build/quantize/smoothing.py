"""Exact rewritings of the fp32 graph that make what the int8 layers read easier to round."""

import numpy as np
import onnx_ir as ir

from build.passes.graph import Scope, only_consumer
from build.quantize.calibration import Range, Ranges
from build.quantize.linear import KEPT, Floats, Linear, linears

_SMALLEST = np.float32(1e-4)
_OUTLIERS = 32


def factors(layer: Linear, found: Range, alpha: float) -> Floats:
    """By how much to divide each channel `[in]` before rounding, and multiply the weight's row by.

    SmoothQuant (Xiao et al. 2022), equation 4: `alpha` 1 gives every channel the same range, 0 every row of the weight.
    """
    weights = np.maximum(np.abs(layer.weight()).max(axis=1), _SMALLEST)
    channels = np.maximum(found.largest, _SMALLEST)
    raw = channels**alpha / weights ** (1 - alpha)
    return np.asarray(raw / np.exp(np.log(raw).mean()), np.float32)


def split_outliers(graph: ir.Graph, ranges: Ranges) -> Ranges:
    """Move the few feed-forward neurons of the largest output into a small fp32 product of their own.

    A handful of neurons reaches 4 to 15 times what the others do; left among them they set the scale that all are
    rounded with. Returns the ranges of what is left.
    """
    left = dict(ranges)
    for layer in linears(graph):
        up = _up_projection(graph, layer)
        if up is not None and layer.name in ranges:
            left[layer.name] = _split(graph, up, layer, ranges[layer.name])
    graph.sort()
    return left


def _up_projection(graph: ir.Graph, down: Linear) -> Linear | None:
    """The layer before the Gelu that this layer reads, when nothing else reads either."""
    if not down.reads_gelu or only_consumer(down.source) is None:
        return None
    add = down.source.producer().inputs[0].producer()
    return next((layer for layer in linears(graph) if layer.sum is add and only_consumer(add.outputs[0])), None)


def _split(graph: ir.Graph, up: Linear, down: Linear, found: Range) -> Range:
    order = np.argsort(-found.largest, kind="stable")
    count = min(_OUTLIERS, order.size // _OUTLIERS)
    few, rest = np.sort(order[:count]), np.sort(order[count:])
    into, out, bias = up.weight(), down.weight(), up.bias()
    side, back = (Scope(graph, f"{layer.path}/outliers") for layer in (up, down))
    raised = side.op("MatMul", up.source, side.weight(f"{up.name}{KEPT}", into[:, few]))
    raised = side.op("Add", raised, side.weight(f"{up.name}.outliers.bias", bias[few]))
    active = side.op("Gelu", raised, domain="com.microsoft")
    lowered = back.op("MatMul", active, back.weight(f"{down.name}{KEPT}", out[few]))
    total = back.op("Add", lowered, lowered)
    down.sum.outputs[0].replace_all_uses_with(total)
    total.producer().replace_input_with(1, down.sum.outputs[0])
    up.set_weight(into[:, rest])
    up.set_bias(bias[rest])
    down.set_weight(out[rest])
    return Range(found.low[rest], found.high[rest])


def fold_into_values(graph: ir.Graph, layer: Linear, divisor: Floats) -> None:
    """Divide what attention gives by `divisor` for free: by dividing the columns of the values' projection."""
    values = _values_projection(graph, layer)
    weight, bias, width = values.weight().copy(), values.bias().copy(), divisor.size
    weight[:, -width:] /= divisor
    bias[-width:] /= divisor
    values.set_weight(weight)
    values.set_bias(bias)
    layer.set_weight(layer.weight() * divisor[:, None])


def _values_projection(graph: ir.Graph, layer: Linear) -> Linear:
    """The linear layer whose last columns are the values that this layer's attention mixes."""
    loop = layer.source.producer().inputs[0].producer()
    body = loop.attributes["body"].as_graph()
    attention = next(node for node in body if node.op_type == "MultiHeadAttention")
    value = attention.inputs[2]
    while value.producer() is not None and value.producer().graph is body:
        value = value.producer().inputs[0]
    return next(projection for projection in linears(graph) if projection.sum.outputs[0] is value)
