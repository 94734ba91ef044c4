"""int8 variants of a packed fp32 graph.

Both recipes rewrite the model in place, one weight at a time, without a second copy, and return it.
"""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from build.passes.graph import MICROSOFT, require_opset
from build.quantize import dynamic, static
from build.quantize.calibration import Batch, Range, Ranges, calibrate
from build.quantize.linear import Floats, Linear, linears, siblings
from build.quantize.smoothing import factors, fold_into_values, split_outliers
from build.quantize.tables import quantize_tables

__all__ = ["Batch", "Ranges", "calibrate", "dynamic_int8", "static_int8"]

_ALPHA = 0.7
"""SmoothQuant migration strength (docs/quantization.md has the sweep)."""
_ATTENTION_ALPHA = 0.6
_MARGIN = 1.1
"""Margin on the calibrated range: clipping costs far more accuracy than a slightly larger step."""


def dynamic_int8(model: ir.Model, calibration: Iterable[Batch] | Ranges | None = None) -> ir.Model:
    """Quantize linear layers to int8 with a scale per token, computed at run time; batch-invariant.

    `calibration` is optional: batches of token ids, or ranges from `calibrate`. It enables smoothing, and outlier
    channels kept in fp32, which together remove three quarters of the loss.

    Raises:
        BuildError: the calibration is empty, or the graph has no linear layers.
    """
    graph = model.graph
    ranges = _prepare(graph, _ranges(model, calibration)) if calibration is not None else {}
    for layers in siblings(graph):
        divisor = _divisor(layers, ranges[layers[0].name]) if ranges else None
        dynamic.rewrite(graph, layers, divisor)
    return _finish(model)


def static_int8(model: ir.Model, calibration: Iterable[Batch] | Ranges) -> ir.Model:
    """Quantize linear layers to int8 with scales fixed by calibration.

    `calibration` is batches of token ids, or ranges from `calibrate`.

    Raises:
        BuildError: the calibration is empty, or the graph has no linear layers.
    """
    graph = model.graph
    ranges = _prepare(graph, _ranges(model, calibration))
    for layers in siblings(graph):
        span = ranges[layers[0].name]
        divisor = _divisor(layers, span)
        grid = static.grid(span if divisor is None else span.divided(divisor), _MARGIN)
        static.rewrite(graph, layers, divisor, grid)
    return _finish(model)


def _ranges(model: ir.Model, calibration: Iterable[Batch] | Ranges) -> Ranges:
    return calibration if isinstance(calibration, Mapping) else calibrate(model, calibration)


def _prepare(graph: ir.Graph, ranges: Ranges) -> Ranges:
    """Rewrite the fp32 graph into an equivalent one that quantizes better; return its layers' ranges."""
    left = dict(split_outliers(graph, ranges))
    for layer in linears(graph):
        if layer.reads_attention:
            divisor = factors([layer], left[layer.name], _ATTENTION_ALPHA)
            fold_into_values(graph, layer, divisor)
            left[layer.name] = left[layer.name].divided(divisor)
    return left


def _divisor(layers: list[Linear], span: Range) -> Floats | None:
    """Return the smoothing divisor that the graph must apply to the layers' input.

    None after attention, where smoothing is folded into the value projection, and after Gelu, the widest tensor, where
    splitting off outliers is more accurate than smoothing and cheaper.
    """
    if layers[0].reads_attention or layers[0].reads_gelu:
        return None
    return factors(layers, span, _ALPHA)


def _finish(model: ir.Model) -> ir.Model:
    quantize_tables(model.graph)
    model.graph.sort()
    require_opset(model, MICROSOFT)
    return model
