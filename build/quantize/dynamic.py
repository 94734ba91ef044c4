"""Dynamic int8: every row of every activation is rounded with a scale of its own, found while the graph runs.

A token's numbers then depend on that token alone, so that a text's vector does not depend on its neighbours in the
batch; a scale for the whole tensor (ONNX Runtime's `quantize_dynamic`) makes it depend on them.
"""

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from build.passes.graph import MICROSOFT, Scope, module
from build.quantize.linear import Floats, Linear
from build.quantize.weights import Int8Weight, quantize

_FLOOR = np.float32(0.5)
"""Below Gelu's smallest value, -0.17: low enough for rows up to 254 times as large, too little to waste range."""
_CENTRE = 128


class _Rows(NamedTuple):
    """What layers read, rounded: `(values - zero) * scale`, or `values * scale - 0.5` after Gelu."""

    values: ir.Value
    scale: ir.Value
    """`[rows, 1]`."""
    zero: ir.Value


def rewrite(graph: ir.Graph, layers: list[Linear], divisor: Floats | None, limit: int) -> None:
    """Replace the products of layers that read the same value by their int8 form; the Add of a bias stays.

    The left factor is uint8 and the right one int8: int8 on both sides runs 15 times slower in ORT 1.32.
    """
    source = layers[0].source
    scope = Scope(graph, module(*(layer.product.outputs[0] for layer in layers)))
    if divisor is not None:
        source = scope.op("Mul", source, scope.constant("smoothing", 1 / divisor))
    rows = (_above_floor if layers[0].reads_gelu else _around_zero)(scope, source)
    for layer in layers:
        _replace(graph, layer, rows, layer.smoothed(divisor), limit)


def _replace(graph: ir.Graph, layer: Linear, rows: _Rows, weight: Floats, limit: int) -> None:
    scope, name, packed = Scope(graph, layer.path), layer.name, quantize(weight, limit)
    if layer.reads_gelu:
        layer.set_bias(np.asarray(layer.bias() - _FLOOR * packed.column_sums(), np.float32))
    old = layer.detach()
    product = _product(scope, rows, packed, name)
    old.replace_all_uses_with(scope.op("Mul", product, rows.scale))


def _around_zero(scope: Scope, source: ir.Value) -> _Rows:
    """Rows as uint8 around 128."""
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
    """Rows of values after Gelu, which use nearly all of uint8: the integer 0 stands for -0.5.

    The row's scale is chosen so that the floor is a whole number of steps: then each product is too large by the
    same half of the weight's column sum, whatever the row, and the bias can take that off beforehand.
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
