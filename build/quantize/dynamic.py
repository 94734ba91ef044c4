"""Dynamic int8: every activation row is quantized with its own scale, computed at run time.

Quantization of a token then depends on that token only, so results are batch-invariant. With one scale for the whole
tensor, as in ONNX Runtime's `quantize_dynamic`, a vector depends on the other texts in its batch.
"""

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from build.passes.graph import MICROSOFT, Scope, module
from build.quantize.linear import Floats, Linear
from build.quantize.weights import Int8Weight, quantize_factor

_FLOOR = np.float32(0.5)
"""Magnitude of the range below zero, which covers Gelu's minimum, -0.17, and allows maxima up to 254 times as large."""
_CENTRE = 128


class _Rows(NamedTuple):
    """Quantized layer input: `(values - zero) * scale`, or `values * scale - 0.5` after Gelu."""

    values: ir.Value
    scale: ir.Value
    """`[rows, 1]`."""
    zero: ir.Value


def rewrite(graph: ir.Graph, layers: list[Linear], divisor: Floats | None) -> None:
    """Replace the products of layers with the same input by int8 products; the Add of a bias stays.

    Activations are uint8 and weights int8: int8 for both is 15 times slower in ORT 1.32.
    """
    source = layers[0].source
    scope = Scope(graph, module(*(layer.product.outputs[0] for layer in layers)))
    if divisor is not None:
        source = scope.op("Mul", source, scope.own("smoothing", 1 / divisor))
    rows = (_above_floor if layers[0].reads_gelu else _around_zero)(scope, source)
    for layer in layers:
        _replace(graph, layer, rows, layer.smoothed(divisor))


def _replace(graph: ir.Graph, layer: Linear, rows: _Rows, weight: Floats) -> None:
    scope, name, packed = Scope(graph, layer.path), layer.name, quantize_factor(weight)
    if layer.reads_gelu:
        layer.set_bias(np.asarray(layer.bias() - _FLOOR * packed.column_sums(), np.float32))
    old = layer.detach()
    product = _product(scope, rows, packed, name)
    old.replace_all_uses_with(scope.op("Mul", product, rows.scale))


def _around_zero(scope: Scope, source: ir.Value) -> _Rows:
    """Quantize rows symmetrically to uint8 with zero point 128."""
    shared = Scope(scope.graph, "/int8")
    last = shared.ints(-1)
    high = scope.op("ReduceMax", source, last, keepdims=1)
    low = scope.op("Neg", scope.op("ReduceMin", source, last, keepdims=1))
    smallest = shared.constant("smallest", np.array(1e-30, np.float32))
    scale = scope.op(
        "Mul", scope.op("Max", high, low, smallest), shared.constant("step", np.array(1 / 127, np.float32))
    )
    flat = scope.op("Reshape", scale, last)
    centre = shared.constant("centre", np.array(_CENTRE, np.uint8))
    centres = scope.op("Expand", centre, scope.op("Shape", flat))
    return _Rows(scope.op("QuantizeLinear", source, flat, centres, axis=0), scale, centre)


def _above_floor(scope: Scope, source: ir.Value) -> _Rows:
    """Quantize rows after Gelu with the integer 0 standing for -0.5, which uses nearly all of uint8.

    The scale of a row is chosen so that the floor is a whole number of steps. Each product is then too large by half
    the weight's column sum, the same for all rows, which the bias subtracts in advance.
    """
    shared = Scope(scope.graph, "/int8")
    floor = shared.constant("floor", np.array(_FLOOR, np.float32))
    high = scope.op("ReduceMax", source, shared.ints(-1), keepdims=1)
    all_steps = shared.constant("floor_times_255", np.array(255 * _FLOOR, np.float32))
    steps = scope.op("Floor", scope.op("Div", all_steps, scope.op("Add", high, floor)))
    steps = scope.op("Max", steps, shared.constant("one", np.array(1, np.float32)))
    scale = scope.op("Div", floor, steps)
    flat = scope.op("Reshape", scale, shared.ints(-1))
    zeros = scope.op("Cast", scope.op("Reshape", steps, shared.ints(-1)), to=ir.DataType.UINT8)
    bottom = shared.constant("bottom", np.array(0, np.uint8))
    return _Rows(scope.op("QuantizeLinear", source, flat, zeros, axis=0), scale, bottom)


def _product(scope: Scope, rows: _Rows, packed: Int8Weight, name: str) -> ir.Value:
    one = Scope(scope.graph, "/int8").constant("one", np.array(1, np.float32))
    values, scale = scope.weight(f"{name}.weight", packed.values), scope.weight(f"{name}.weight_scale", packed.scale)
    return scope.op("MatMulIntegerToFloat", rows.values, values, one, scale, rows.zero, domain=MICROSOFT)
