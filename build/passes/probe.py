"""Run a part of the exported graph on chosen values: learn what it computes instead of matching how it is written."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from build import graph_files

Numbers = NDArray[np.generic]


def probe(model: ir.Model, given: Mapping[ir.Value, Numbers], wanted: Sequence[ir.Value]) -> list[Numbers]:
    """Return the `wanted` values as the graph computes them from the `given` ones.

    Raises:
        ValueError: they depend on other inputs, too.
    """
    part = ir.convenience.extract(model.graph, list(given), list(wanted))
    names = []
    for value, numbers in zip(part.inputs, given.values(), strict=True):
        value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(numbers.dtype)), ir.Shape(numbers.shape)
        names.append(value.name)
    for value in part.outputs:
        value.shape = None
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
    session = graph_files.Session(ir.Model(part, ir_version=model.ir_version), _options())
    used = {entry.name for entry in session.get_inputs()}
    feeds = {name: numbers for name, numbers in zip(names, given.values(), strict=True) if name in used}
    return [np.asarray(output) for output in session.run(None, feeds)]


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what it cannot compute is raised
    return options
