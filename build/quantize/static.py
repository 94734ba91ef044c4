"""Static int8: layer inputs are quantized with scales from calibration at build time.

No ranges are computed at run time, and product, scales and bias are one operator. Values outside the calibrated range
are clipped, hence the margin.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from build.passes.graph import MICROSOFT, Scope, module
from build.quantize.calibration import Range
from build.quantize.linear import Floats, Linear
from build.quantize.weights import Int8Weight, quantize_factor


@dataclass(frozen=True)
class Grid:
    """Quantization parameters: the integer `q` in 0…255 stands for `(q - zero) * step`."""

    step: np.float32
    zero: np.uint8


def grid(span: Range, margin: float) -> Grid:
    """Return the grid that covers the range of all channels, scaled by `margin`, and 0."""
    low = min(float(span.low.min()), 0.0) * margin
    high = max(float(span.high.max()), 0.0) * margin
    step = max((high - low) / 255, 1e-12)
    return Grid(np.float32(step), np.uint8(np.rint(-low / step)))


class _CalibratedRows(NamedTuple):
    """Quantized layer input: `(values - zero) * step`."""

    values: ir.Value
    step: ir.Value
    zero: ir.Value


def rewrite(graph: ir.Graph, layers: list[Linear], divisor: Floats | None, places: Grid) -> None:
    """Replace layers with the same input, products and biases, by int8 operators."""
    scope = Scope(graph, module(*(layer.product.outputs[0] for layer in layers)))
    rows = _rounded(scope, layers[0].source, divisor, places)
    for layer in layers:
        _replace(graph, layer, rows, layer.smoothed(divisor))


def _rounded(scope: Scope, source: ir.Value, divisor: Floats | None, places: Grid) -> _CalibratedRows:
    """Quantize the input: apply per-channel scales with Mul, and call QuantizeLinear with a scalar scale.

    With per-channel scales QuantizeLinear is 100 times slower in ORT 1.32.
    """
    step = scope.own("input_scale", np.array(places.step, np.float32))
    zero = scope.own("input_zero", np.array(places.zero, np.uint8))
    if divisor is None:
        return _CalibratedRows(scope.op("QuantizeLinear", source, step, zero), step, zero)
    scaled = scope.op("Mul", source, scope.own("smoothing", (1 / (divisor * places.step)).astype(np.float32)))
    return _CalibratedRows(scope.op("QuantizeLinear", scaled, _one(scope.graph), zero), step, zero)


def _replace(graph: ir.Graph, layer: Linear, rows: _CalibratedRows, weight: Floats) -> None:
    scope, name, packed, bias = Scope(graph, layer.path), layer.name, quantize_factor(weight), layer.bias_value
    old = layer.output
    layer.detach()
    old.replace_all_uses_with(_product(scope, rows, packed, bias, name))
    if layer.sum is not None:
        graph.remove(layer.sum, safe=False)


def _product(scope: Scope, rows: _CalibratedRows, packed: Int8Weight, bias: ir.Value | None, name: str) -> ir.Value:
    values, scale = scope.weight(f"{name}.weight", packed.values), scope.weight(f"{name}.weight_scale", packed.scale)
    inputs = [rows.values, values, rows.step, scale, rows.zero]
    inputs += [] if bias is None else [None, bias]
    return scope.op("MatMulIntegerToFloat", *inputs, domain=MICROSOFT)


def _one(graph: ir.Graph) -> ir.Value:
    return Scope(graph, "/int8").constant("one", np.array(1, np.float32))
