"""Split ModernBERT's joint projections: one product each for query, key and value, and for the two halves of its GLU.

The exporter slices one wide product. Separate products are the form of the other architectures, which the later passes
rewrite; the int8 recipes quantize their common input once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from build.passes import GraphPass
from build.passes.graph import Scope, array, folder, matrix, numbers, only_consumer
from build.passes.probe import probe

_QKV = ("query", "key", "value")
_GLU = ("act", "gate")


@dataclass(frozen=True)
class _Joint:
    """A product, and the values that are its parts: columns in order, one after the other."""

    product: ir.Node
    names: tuple[str, ...]
    parts: list[ir.Value]
    heads: tuple[int, int] | None
    """Number and size of heads, if the parts are split into them: `[batch, heads, sequence, size]`."""


class SplitProjectionsPass(GraphPass):
    """Replace each joint product with one product per part."""

    name = "split-projections"

    def needed(self, model: ir.Model) -> bool:
        """Whether the graph has a joint product."""
        return any(True for _ in _joints(model))

    def rewrite(self, model: ir.Model) -> int:
        """Split every joint product and its weight."""
        graph, joints = model.graph, list(_joints(model))
        for joint in joints:
            _split(graph, joint)
        graph.sort()
        RemoveUnusedNodesPass()(model)
        return len(joints)

    def ensures(self, model: ir.Model) -> None:
        """Check that no joint product is left."""
        for joint in _joints(model):
            raise ir.passes.PostconditionError(f"{joint.product.name!r} was not split")


def _joints(model: ir.Model) -> Iterator[_Joint]:
    for node in model.graph:
        if matrix(node) is not None and (joint := _attention(node) or _glu(model, node)) is not None:
            yield joint


def _attention(product: ir.Node) -> _Joint | None:
    """Match Reshape to `[batch, sequence, 3, heads, size]`, Transpose, Split, and Squeeze of the parts."""
    chain = _chain(product.outputs[0], "Reshape", "Transpose", "Split")
    if chain is None:
        return None
    reshape, transpose, split = chain
    target = reshape.inputs[1].producer()
    sizes = [array(value) for value in target.inputs] if target is not None and target.op_type == "Concat" else []
    axes = tuple(transpose.attributes["perm"].as_ints())
    if len(sizes) != 5 or axes != (0, 3, 2, 1, 4) or split.attributes.get_int("axis", 0) != 2:
        return None
    squeezed = [only_consumer(part) for part in split.outputs]
    if any(size is None for size in sizes[2:]) or not (int(sizes[2].item()) == len(_QKV) == len(squeezed)):  # type: ignore[union-attr]
        return None
    if any(node is None or node.op_type != "Squeeze" for node in squeezed):
        return None
    parts = [node.outputs[0] for node in squeezed if node is not None]
    return _Joint(product, _QKV, parts, (int(sizes[3].item()), int(sizes[4].item())))  # type: ignore[union-attr]


def _glu(model: ir.Model, product: ir.Node) -> _Joint | None:
    """Match two Slices that halve the last axis."""
    slices = [node for node in product.outputs[0].consumers() if node.op_type == "Slice"]
    others = [node for node in product.outputs[0].consumers() if node.op_type not in {"Slice", "Shape"}]
    if len(slices) != len(_GLU) or others:
        return None
    columns = int(numbers(product.inputs[1]).shape[1])
    row = np.arange(columns, dtype=np.float32).reshape(1, 1, columns)
    halves = probe(model, {product.outputs[0]: row}, [node.outputs[0] for node in slices])
    if columns % 2 or not all(np.array_equal(*pair) for pair in zip(halves, np.split(row, 2, axis=2), strict=True)):
        return None
    return _Joint(product, _GLU, [node.outputs[0] for node in slices], None)


def _chain(value: ir.Value, *op_types: str) -> list[ir.Node] | None:
    """Return the consecutive only consumers of `value`, if they are of these types."""
    nodes: list[ir.Node] = []
    for op_type in op_types:
        node = only_consumer(value)
        if node is None or node.op_type != op_type:
            return None
        nodes.append(node)
        value = node.outputs[0]
    return nodes


def _split(graph: ir.Graph, joint: _Joint) -> None:
    weight, path = numbers(joint.product.inputs[1]), folder(joint.product)
    parent = path.rpartition("/")[0]
    columns = np.split(weight, len(joint.names), axis=1)
    for name, part, own in zip(joint.names, joint.parts, columns, strict=True):
        scope = Scope(graph, f"{parent}/{name}")
        stored = scope.weight(f"{parent.strip('/').replace('/', '.')}.{name}.weight", own)
        made = scope.op("MatMul", joint.product.inputs[0], stored)
        if joint.heads is not None:
            shaped = scope.op("Reshape", made, scope.ints(0, 0, *joint.heads))
            made = scope.op("Transpose", shaped, perm=[0, 2, 1, 3])
        part.replace_all_uses_with(made)
