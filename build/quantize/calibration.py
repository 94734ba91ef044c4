"""Calibration: the input range of every linear layer, over real texts run through the fp32 graph."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from build import graph_files
from build.errors import BuildError
from build.passes.graph import Scope
from build.quantize.linear import Floats, Linear, siblings

Tokens = NDArray[np.int64]
Batch = tuple[Tokens, Tokens]
"""`input_ids` and `attention_mask`, `[batch, sequence]`."""


@dataclass(frozen=True)
class Range:
    """Minimum and maximum of each channel, `[in]`."""

    low: Floats
    high: Floats

    @property
    def largest(self) -> Floats:
        """Maximum absolute value of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def divided(self, divisor: Floats) -> "Range":
        """Return the range after dividing each channel by `divisor`, `[in]`."""
        return Range(self.low / divisor, self.high / divisor)


Ranges = Mapping[str, Range]
"""Input ranges by layer name."""


def calibrate(model: ir.Model, batches: Iterable[Batch]) -> Ranges:
    """Run the packed fp32 graph on batches of token ids and record each linear layer's input range.

    Raises:
        BuildError: no batch was given, or a value is not finite.
    """
    graph = model.graph
    groups = list(siblings(graph))
    before, outputs = set(graph), list(graph.outputs)
    graph.outputs[:] = [extreme for layers in groups for extreme in _extremes(graph, layers[0])]
    try:
        session = graph_files.Session(model)
    finally:
        graph.outputs[:] = outputs
        graph.remove([node for node in graph if node not in before], safe=True)
    ranges = _ranges(session, len(groups), batches)
    return {layer.name: read for layers, read in zip(groups, ranges, strict=True) for layer in layers}


def _extremes(graph: ir.Graph, layer: Linear) -> list[ir.Value]:
    scope = Scope(graph, f"{layer.path}/calibration")
    made = [
        scope.op(op, layer.source, Scope(graph, "/packing").ints(0), keepdims=0) for op in ("ReduceMin", "ReduceMax")
    ]
    for value in made:
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([None])
    return made


def _ranges(session: ort.InferenceSession, count: int, batches: Iterable[Batch]) -> list[Range]:
    extremes: list[Floats] | None = None
    for ids, mask in batches:
        now = session.run(None, {"input_ids": ids, "attention_mask": mask})
        pairs = zip(extremes or now, now, strict=True)
        extremes = [(np.maximum if index % 2 else np.minimum)(*pair) for index, pair in enumerate(pairs)]
    if extremes is None:
        raise BuildError("there is no text to calibrate on")
    if not all(np.isfinite(numbers).all() for numbers in extremes):
        raise BuildError("the fp32 graph gives numbers that are not finite on the calibration texts")
    return [Range(*extremes[2 * index : 2 * index + 2]) for index in range(count)]
