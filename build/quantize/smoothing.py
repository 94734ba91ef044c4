"""Equivalent rewrites of the fp32 graph that reduce int8 quantization error."""

import numpy as np
import onnx_ir as ir

from build.passes.graph import Scope, only_consumer
from build.quantize.calibration import Range, Ranges
from build.quantize.linear import KEPT, Floats, Linear, linears

_SMALLEST = np.float32(1e-4)
_OUTLIERS = 32


def factors(layers: list[Linear], span: Range, alpha: float) -> Floats:
    """Return the divisor of each input channel `[in]`, which also multiplies the rows of the weights.

    SmoothQuant (Xiao et al. 2022), equation 4: `alpha` 1 equalizes the channels' ranges, 0 those of the weight's rows.
    """
    weights = np.maximum(np.max([np.abs(layer.weight()).max(axis=1) for layer in layers], axis=0), _SMALLEST)
    channels = np.maximum(span.largest, _SMALLEST)
    ratios = channels**alpha / weights ** (1 - alpha)
    return np.asarray(ratios / np.exp(np.log(ratios).mean()), np.float32)


def split_outliers(graph: ir.Graph, ranges: Ranges) -> Ranges:
    """Move the feed-forward neurons with the largest outputs into a small separate fp32 product.

    A few neurons reach 4 to 15 times the values of the others and would determine the common scale. Returns the ranges
    of the remaining channels.
    """
    left = dict(ranges)
    for layer in linears(graph):
        up = _up_projection(graph, layer)
        if up is not None and layer.name in ranges:
            left[layer.name] = _split(graph, up, layer, ranges[layer.name])
    graph.sort()
    return left


def _up_projection(graph: ir.Graph, down: Linear) -> Linear | None:
    """Return the layer before this layer's Gelu, if neither has other consumers."""
    if not down.reads_gelu or only_consumer(down.source) is None:
        return None
    raised = down.source.producer().inputs[0]
    return next((layer for layer in linears(graph) if layer.output is raised and only_consumer(raised)), None)


def _split(graph: ir.Graph, up: Linear, down: Linear, span: Range) -> Range:
    order = np.argsort(-span.largest, kind="stable")
    count = min(_OUTLIERS, order.size // _OUTLIERS)
    few, rest = np.sort(order[:count]), np.sort(order[count:])
    into, out, bias = up.weight(), down.weight(), up.bias()
    side, back = (Scope(graph, f"{layer.path}/outliers") for layer in (up, down))
    few_bias = side.weight(f"{up.name}.outliers.bias", bias[few])
    raised = side.op("Gemm", up.source, side.weight(f"{up.name}{KEPT}", into[:, few]), few_bias)
    active = side.op(down.source.producer().op_type, raised, domain="com.microsoft")
    result = down.output
    total = back.op("Gemm", active, back.weight(f"{down.name}{KEPT}", out[few]), None)
    result.replace_all_uses_with(total)
    total.producer().replace_input_with(2, result)
    up.set_weight(into[:, rest])
    up.set_bias(bias[rest])
    down.set_weight(out[rest])
    return Range(span.low[rest], span.high[rest])


def fold_into_values(graph: ir.Graph, layer: Linear, divisor: Floats) -> None:
    """Divide attention's output by `divisor` at no run-time cost: scale the columns of the value projection."""
    values = _values_projection(graph, layer)
    values.set_weight(values.weight() / divisor)
    if values.sum is not None:
        values.set_bias(values.bias() / divisor)
    layer.set_weight(layer.weight() * divisor[:, None])


def _values_projection(graph: ir.Graph, layer: Linear) -> Linear:
    """Return the value projection of the attention that this layer reads."""
    value = layer.source.producer().inputs[0]
    while (node := value.producer()) is not None and node.op_type == "If":
        value = node.attributes["then_branch"].as_graph().outputs[0]
    value = value.producer().inputs[2]
    while value.producer() is not None and value.producer().graph is not graph:
        value = value.producer().inputs[0]
    return next(projection for projection in linears(graph) if projection.output is value)
