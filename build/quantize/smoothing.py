"""Exact rewritings of the fp32 graph that make what the int8 layers read easier to round."""

import numpy as np
import onnx_ir as ir

from build.passes.graph import Scope, only_consumer
from build.quantize.calibration import Range, Ranges
from build.quantize.linear import KEPT, Floats, Linear, linears

_SMALLEST = np.float32(1e-4)
_OUTLIERS = 32


def factors(layers: list[Linear], found: Range, alpha: float) -> Floats:
    """By how much to divide each channel `[in]` that the layers read, and to multiply the rows of their weights by.

    SmoothQuant (Xiao et al. 2022), equation 4: `alpha` 1 gives every channel the same range, 0 every row of the weight.
    """
    weights = np.maximum(np.max([np.abs(layer.weight()).max(axis=1) for layer in layers], axis=0), _SMALLEST)
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
    raised = down.source.producer().inputs[0]
    return next((layer for layer in linears(graph) if layer.output is raised and only_consumer(raised)), None)


def _split(graph: ir.Graph, up: Linear, down: Linear, found: Range) -> Range:
    order = np.argsort(-found.largest, kind="stable")
    count = min(_OUTLIERS, order.size // _OUTLIERS)
    few, rest = np.sort(order[:count]), np.sort(order[count:])
    into, out, bias = up.weight(), down.weight(), up.bias()
    side, back = (Scope(graph, f"{layer.path}/outliers") for layer in (up, down))
    few_bias = side.weight(f"{up.name}.outliers.bias", bias[few])
    raised = side.op("Gemm", up.source, side.weight(f"{up.name}{KEPT}", into[:, few]), few_bias)
    active = side.op("Gelu", raised, domain="com.microsoft")
    result = down.output
    total = back.op("Gemm", active, back.weight(f"{down.name}{KEPT}", out[few]), None)
    result.replace_all_uses_with(total)
    total.producer().replace_input_with(2, result)
    up.set_weight(into[:, rest])
    up.set_bias(bias[rest])
    down.set_weight(out[rest])
    return Range(found.low[rest], found.high[rest])


def fold_into_values(graph: ir.Graph, layer: Linear, divisor: Floats) -> None:
    """Divide what attention gives by `divisor` for free: by dividing the columns of the values' projection."""
    values = _values_projection(graph, layer)
    values.set_weight(values.weight() / divisor)
    if values.sum is not None:
        values.set_bias(values.bias() / divisor)
    layer.set_weight(layer.weight() * divisor[:, None])


def _values_projection(graph: ir.Graph, layer: Linear) -> Linear:
    """The linear layer that makes the values which this layer's attention mixes."""
    choice = layer.source.producer().inputs[0].producer()
    whole = choice.attributes["then_branch"].as_graph()
    value = whole.outputs[0].producer().inputs[2]
    while value.producer() is not None and value.producer().graph is whole:
        value = value.producer().inputs[0]
    return next(projection for projection in linears(graph) if projection.output is value)
