"""Static int8: what a layer reads is rounded with scales found at build time, on calibration texts.

Nothing is measured while the graph runs, and the product, its scales and its bias are one operator. What lies
outside the calibrated range is cut off at its ends, hence the margin.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from build.passes.graph import MICROSOFT, Scope, module
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


class _Rows(NamedTuple):
    """What layers read, rounded: `(values - zero) * step`."""

    values: ir.Value
    step: ir.Value
    zero: ir.Value


def rewrite(graph: ir.Graph, layers: list[Linear], divisor: Floats | None, places: Grid, limit: int) -> None:
    """Replace layers that read the same value, products and biases, by their int8 form."""
    scope = Scope(graph, module(*(layer.product.outputs[0] for layer in layers)))
    rows = _rounded(scope, layers[0].source, divisor, places)
    for layer in layers:
        _replace(graph, layer, rows, layer.smoothed(divisor), limit)


def _rounded(scope: Scope, source: ir.Value, divisor: Floats | None, places: Grid) -> _Rows:
    """A channel's own scale is applied by Mul, and QuantizeLinear given one number.

    With a scale per channel that operator runs 100 times slower in ORT 1.32.
    """
    step = scope.constant("input_scale", np.array(places.step, np.float32))
    zero = scope.constant("input_zero", np.array(places.zero, np.uint8))
    if divisor is None:
        return _Rows(scope.op("QuantizeLinear", source, step, zero), step, zero)
    scaled = scope.op("Mul", source, scope.constant("smoothing", (1 / (divisor * places.step)).astype(np.float32)))
    return _Rows(scope.op("QuantizeLinear", scaled, _one(scope.graph), zero), step, zero)


def _replace(graph: ir.Graph, layer: Linear, rows: _Rows, weight: Floats, limit: int) -> None:
    scope, name, packed, bias = Scope(graph, layer.path), layer.name, quantize(weight, limit), layer.bias_value
    old = layer.output
    layer.detach()
    old.replace_all_uses_with(_product(scope, rows, packed, bias, name))
    if layer.sum is not None:
        graph.remove(layer.sum, safe=False)


def _product(scope: Scope, rows: _Rows, packed: Int8Weight, bias: ir.Value | None, name: str) -> ir.Value:
    values, scale = scope.weight(f"{name}.weight", packed.values), scope.weight(f"{name}.weight_scale", packed.scale)
    inputs = [rows.values, values, rows.step, scale, rows.zero]
    inputs += [] if bias is None else [None, bias]
    return scope.op("MatMulIntegerToFloat", *inputs, domain=MICROSOFT)


def _one(graph: ir.Graph) -> ir.Value:
    return Scope(graph, "/int8").constant("one", np.array(1, np.float32))
