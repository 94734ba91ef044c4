"""int8 variants of a packed fp32 graph.

Both rewrite the model in place, weight by weight (no second copy of it is ever held), and return it.
"""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from build.passes.graph import MICROSOFT, require_opset
from build.quantize import dynamic, static
from build.quantize.calibration import Batch, Range, Ranges, calibrate
from build.quantize.linear import Floats, Linear, linears, siblings
from build.quantize.smoothing import factors, fold_into_values, split_outliers
from build.quantize.tables import quantize_tables
from build.quantize.weights import FULL, REDUCED

__all__ = ["Batch", "Ranges", "calibrate", "dynamic_int8", "static_int8"]

_ALPHA = 0.7
"""How far smoothing evens out the activations at the weights' expense (docs/quantization.md has the sweep)."""
_ATTENTION_ALPHA = 0.6
_MARGIN = 1.1
"""Room beyond the calibrated range: a value cut off costs far more than a slightly larger step."""


def dynamic_int8(
    model: ir.Model, calibration: Iterable[Batch] | Ranges | None = None, *, reduce_range: bool = False
) -> ir.Model:
    """Linear layers in int8 with a scale per token, found while the graph runs; batch-invariant.

    `calibration` is optional: batches of token ids, or what `calibrate` found on them. With it the channels are
    smoothed and outliers kept in fp32, which takes away three quarters of the loss. `reduce_range` rounds weights to
    7 bits, for x86 processors without VNNI or AMX, where sums of products of 8-bit factors overflow 16 bits.

    Raises:
        BuildError: there is no text in the calibration, or the graph has no linear layers.
    """
    graph = model.graph
    ranges = _prepare(graph, _ranges(model, calibration)) if calibration is not None else {}
    for layers in siblings(graph):
        divisor = _divisor(layers, ranges[layers[0].name]) if ranges else None
        dynamic.rewrite(graph, layers, divisor, _limit(reduce_range))
    return _finish(model)


def static_int8(model: ir.Model, calibration: Iterable[Batch] | Ranges, *, reduce_range: bool = False) -> ir.Model:
    """Linear layers in int8 with scales found on calibration texts; nothing is measured at run time.

    `calibration` is batches of token ids, or what `calibrate` found on them; `reduce_range` as in `dynamic_int8`.

    Raises:
        BuildError: there is no text in the calibration, or the graph has no linear layers.
    """
    graph = model.graph
    ranges = _prepare(graph, _ranges(model, calibration))
    for layers in siblings(graph):
        found = ranges[layers[0].name]
        divisor = _divisor(layers, found)
        grid = static.grid(found if divisor is None else found.divided(divisor), _MARGIN)
        static.rewrite(graph, layers, divisor, grid, _limit(reduce_range))
    return _finish(model)


def _ranges(model: ir.Model, calibration: Iterable[Batch] | Ranges) -> Ranges:
    return calibration if isinstance(calibration, Mapping) else calibrate(model, calibration)


def _limit(reduce_range: bool) -> int:
    return REDUCED if reduce_range else FULL


def _prepare(graph: ir.Graph, ranges: Ranges) -> Ranges:
    """Rewrite the fp32 graph, exactly, into one that is easier to round; the ranges of its layers."""
    left = dict(split_outliers(graph, ranges))
    for layer in linears(graph):
        if layer.reads_attention:
            divisor = factors([layer], left[layer.name], _ATTENTION_ALPHA)
            fold_into_values(graph, layer, divisor)
            left[layer.name] = left[layer.name].divided(divisor)
    return left


def _divisor(layers: list[Linear], found: Range) -> Floats | None:
    """The smoothing of the channels that the layers read, which the graph has to apply.

    None before a layer that reads attention, whose smoothing lies in the values' projection, and after Gelu, the
    widest tensor of all, where splitting off the outliers does better than smoothing and costs less.
    """
    if layers[0].reads_attention or layers[0].reads_gelu:
        return None
    return factors(layers, found, _ALPHA)


def _finish(model: ir.Model) -> ir.Model:
    quantize_tables(model.graph)
    model.graph.sort()
    require_opset(model, MICROSOFT)
    return model
