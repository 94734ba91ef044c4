"""Static int8: what a layer reads is rounded with scales found at build time, on calibration texts.

Nothing is measured while the graph runs, and the product, its scales and its bias are one operator. What lies
outside the calibrated range is cut off at its ends, hence the margin.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from build.passes.graph import MICROSOFT, Scope
from build.quantize.calibration import Range
from build.quantize.linear import Floats, Linear
from build.quantize.weights import Int8Weight, quantize


@dataclass(frozen=True)
class Grid:
    """The integer `q` in 0…255 stands for `(q - zero) * step`."""

    step: np.float32
    zero: np.uint8


def grid(found: Range, margin: float) -> Grid:
    """The grid that covers every channel's range, `margin` times; 0 is always in it."""
    low = min(float(found.low.min()), 0.0) * margin
    high = max(float(found.high.max()), 0.0) * margin
    step = max((high - low) / 255, 1e-12)
    return Grid(np.float32(step), np.uint8(np.rint(-low / step)))


def rewrite(graph: ir.Graph, layer: Linear, divisor: Floats | None, places: Grid, limit: int) -> None:
    """Replace a linear layer, product and bias, by its int8 form.

    A channel's own scale is applied by Mul, and QuantizeLinear given one number: with a scale per channel that
    operator runs 100 times slower in ORT 1.32.
    """
    scope = Scope(graph, layer.path)
    source, weight, bias = layer.source, layer.weight(), layer.bias_value
    step = scope.constant("input_scale", np.array(places.step, np.float32))
    if divisor is None:
        rows = scope.op("QuantizeLinear", source, step, _zero(scope, places))
    else:
        weight = weight * divisor[:, None]
        scaled = scope.op("Mul", source, scope.constant("smoothing", (1 / (divisor * places.step)).astype(np.float32)))
        rows = scope.op("QuantizeLinear", scaled, _one(graph), _zero(scope, places))
    packed, name = quantize(weight, limit), layer.name
    layer.detach()
    result = _product(scope, rows, step, _zero(scope, places), (packed, bias), name)
    layer.sum.outputs[0].replace_all_uses_with(result)
    graph.remove(layer.sum, safe=False)


def _product(
    scope: Scope, rows: ir.Value, step: ir.Value, zero: ir.Value, factor: tuple[Int8Weight, ir.Value], name: str
) -> ir.Value:
    packed, bias = factor
    values, scale = scope.weight(f"{name}.weight", packed.values), scope.weight(f"{name}.weight_scale", packed.scale)
    return scope.op("MatMulIntegerToFloat", rows, values, step, scale, zero, None, bias, domain=MICROSOFT)


def _zero(scope: Scope, places: Grid) -> ir.Value:
    return scope.constant("input_zero", np.array(places.zero, np.uint8))


def _one(graph: ir.Graph) -> ir.Value:
    return Scope(graph, "/int8").constant("one", np.array(1, np.float32))
