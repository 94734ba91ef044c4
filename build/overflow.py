"""Which nodes of an fp32 graph read or compute numbers that fp16 cannot hold, measured on real texts."""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from build import graph_files
from build.passes.graph import Scope, array, folder
from build.passes.halve_floats import Overflow
from build.quantize import Batch

# A quarter of fp16's largest number, because other texts reach further than those measured.
_LARGEST = float(np.finfo(np.float16).max) / 4
# Attention's mask uses numbers from here on as minus infinity; fp16 has its own.
_INFINITE = 1e37


def find(model: ir.Model, batches: Iterable[Batch]) -> Overflow:
    """Run the graph on batches of token ids; it needs operators that have CPU kernels and no subgraphs."""
    floats = _floats(model)
    largest = _largest(model, floats, batches)
    beyond = {name for name, (value, _) in largest.items() if value > _LARGEST}
    infinite = {name for name, (_, value) in largest.items() if value >= _INFINITE}
    nodes = [node for node in model.graph if any(_is_beyond(value, beyond) for value in (*node.inputs, *node.outputs))]
    modules = dict.fromkeys(folder(node).strip("/").replace("/", ".") for node in nodes)
    kept = _with_masks(nodes, infinite)
    return Overflow(frozenset(node.name or "" for node in kept), tuple(modules), frozenset(floats))


def _with_masks(nodes: list[ir.Node], infinite: set[str]) -> set[ir.Node]:
    """Add the nodes that compute the masks of `nodes`: fp16's minus infinity is larger than scores beyond its range."""
    kept: set[ir.Node] = set()
    pending = [*nodes]
    while pending:
        node = pending.pop()
        kept.add(node)
        masks = (value.producer() for value in node.inputs if value is not None and value.name in infinite)
        pending += [producer for producer in masks if producer is not None and producer not in kept]
    return kept


def _is_beyond(value: ir.Value | None, beyond: set[str]) -> bool:
    if value is None or value.name in beyond:
        return value is not None
    numbers = array(value)
    if numbers is None or numbers.dtype != np.float32 or not numbers.size:
        return False
    return _LARGEST < float(np.abs(numbers).max()) < _INFINITE


def _floats(model: ir.Model) -> list[str]:
    """Return the names of all fp32 values that nodes compute."""
    probe = model.clone()
    probe.graph.outputs[:] = [_untyped(value) for node in probe.graph for value in node.outputs if value.name]
    return [output.name for output in graph_files.Session(probe).get_outputs() if output.type == "tensor(float)"]


def _largest(model: ir.Model, floats: list[str], batches: Iterable[Batch]) -> Mapping[str, tuple[float, float]]:
    """Return the largest magnitude of each value over all batches, without the mask's and with it."""
    probe = model.clone()
    wanted = set(floats)
    scope = Scope(probe.graph, "/magnitude")
    zero, infinite = (scope.constant(str(number), np.array(number, np.float32)) for number in (0, _INFINITE))
    names, outputs = [], []
    for value in [value for node in probe.graph for value in node.outputs if value.name in wanted]:
        size = scope.op("Abs", value)
        finite = scope.op("Where", scope.op("Less", size, infinite), size, zero)
        names.append(value.name or "")
        outputs += [scope.op("ReduceMax", part, keepdims=0) for part in (finite, size)]
    probe.graph.outputs[:] = outputs
    probe.graph.sort()
    session = graph_files.Session(probe)
    runs = [session.run(None, {"input_ids": ids, "attention_mask": mask}) for ids, mask in batches]
    magnitudes = np.array(runs).max(0).reshape(-1, 2)
    return {name: (float(finite), float(whole)) for name, (finite, whole) in zip(names, magnitudes, strict=True)}


def _untyped(value: ir.Value) -> ir.Value:
    """Remove annotations, which ONNX Runtime infers."""
    value.type = value.shape = None
    return value
