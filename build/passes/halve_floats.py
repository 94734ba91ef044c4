"""fp16: convert the encoder's float32 tensors to float16; the graph's inputs and outputs keep their types.

Nodes with numbers beyond fp16's range can be kept in fp32, with casts before and after them.

ONNX Runtime's converter is not used because it copies the whole model several times (10 GB at BGE-large size); this
pass converts one tensor at a time.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from build.passes import GraphPass
from build.passes.graph import LAYERS

# Sums over the sequence and squares in a norm can exceed fp16's range (65,504), so these nodes stay in fp32, and so do
# the layers after pooling, which compute one row per text.
# LayerNormalization is safe in fp16: ONNX defines it to accumulate in fp32 (attribute stash_type).
KEPT_FP32 = ("/pooling/", LAYERS, "/normalize/")
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Overflow:
    """The names of nodes with numbers beyond fp16's range, the modules they belong to, and of all fp32 values."""

    nodes: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    floats: frozenset[str] = frozenset()


class HalveFloatsPass(GraphPass):
    """Convert constants, casts and weights to float16, and cast between them and the nodes kept in fp32."""

    def __init__(self, overflow: Overflow = Overflow()) -> None:
        super().__init__()
        self.name = "float16-partly" if overflow.nodes else "float16"
        self._overflow = overflow

    def requires(self, model: ir.Model) -> None:
        """Check that there is an fp32 weight."""
        if not self._wide(model.graph):
            raise ir.passes.PreconditionError("the graph has no weight in fp32")

    def rewrite(self, model: ir.Model) -> int:
        """Convert all nodes except those under KEPT_FP32 or in overflow; return the number of tensors and casts."""
        graph, wide = model.graph, self._wide(model.graph)
        kept, halved = self._parted(graph)
        _annotate(graph, self._overflow.floats)
        for value in wide:
            value.const_value = _halved(value.const_value)
            value.type = ir.TensorType(ir.DataType.FLOAT16)
        changed = len(wide) + sum(_halve_attributes(node) for node in halved)
        _forget_types(halved)
        _cast_back(graph, kept, set(halved))
        if self._overflow.nodes:
            _cast_down(graph, set(kept), halved)
        return changed

    def ensures(self, model: ir.Model) -> None:
        """Check that no fp32 weight is left and that the outputs are fp32."""
        for value in self._wide(model.graph):
            raise ir.passes.PostconditionError(f"{value.name!r} is still in fp32")
        for value in model.graph.outputs:
            if value.dtype != ir.DataType.FLOAT:
                raise ir.passes.PostconditionError(f"the output {value.name!r} is {value.dtype}, not fp32")

    def _parted(self, graph: ir.Graph) -> tuple[list[ir.Node], list[ir.Node]]:
        """Return the nodes that stay in fp32, and all others."""
        parts: tuple[list[ir.Node], list[ir.Node]] = ([], [])
        for node in graph:
            kept = (node.name or "").startswith(KEPT_FP32) or node.name in self._overflow.nodes
            parts[0 if kept else 1].append(node)
        return parts

    def _wide(self, graph: ir.Graph) -> list[ir.Value]:
        """Return the fp32 constants that no kept node reads."""
        exempt = {value for node in self._parted(graph)[0] for value in node.inputs if value is not None}
        return [value for value in _constants(graph) if value not in exempt]


def _constants(graph: ir.Graph) -> list[ir.Value]:
    held = ((value, value.const_value) for value in graph.initializers.values())
    return [value for value, tensor in held if tensor is not None and tensor.dtype == ir.DataType.FLOAT]


def _annotate(graph: ir.Graph, floats: frozenset[str]) -> None:
    """Annotate fp32 values, of which the casts depend on the type."""
    for node in graph:
        for value in node.outputs:
            if value.name in floats:
                value.type = ir.TensorType(ir.DataType.FLOAT)


def _halved(tensor: ir.TensorProtocol) -> ir.Tensor:
    # The mask uses float32's lowest value as minus infinity: clip it to fp16's lowest, so that it stays finite.
    bounded = np.clip(tensor.numpy(), -_LARGEST, _LARGEST)
    return ir.Tensor(bounded.astype(np.float16), name=tensor.name)


def _halve_attributes(node: ir.Node) -> int:
    """Convert a node's own values: Constant and ConstantOfShape tensors, casts to float32."""
    changed = 0
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype == ir.DataType.FLOAT:
            node.attributes[name] = ir.AttrTensor(name, _halved(attribute.value))
            changed += 1
        elif node.op_type == "Cast" and name == "to" and attribute.value == ir.DataType.FLOAT:
            node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT16)
            changed += 1
    return changed


def _forget_types(nodes: list[ir.Node]) -> None:
    """Update float32 type annotations of converted outputs."""
    for node in nodes:
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT:
                value.type = ir.TensorType(ir.DataType.FLOAT16)


def _cast_back(graph: ir.Graph, kept: list[ir.Node], halved: set[ir.Node]) -> None:
    """Insert one cast to float32 after each float16 value that a kept node reads."""
    casts: dict[ir.Value, ir.Value] = {}
    for node in kept:
        for index, value in enumerate(node.inputs):
            if value is None or value.producer() not in halved or value.dtype != ir.DataType.FLOAT16:
                continue
            if value not in casts:
                casts[value] = _cast(graph, value, before=node)
            node.replace_input_with(index, casts[value])


def _cast_down(graph: ir.Graph, kept: set[ir.Node], halved: list[ir.Node]) -> None:
    """Give the converted nodes float16 copies of the float32 values and constants that they share with kept ones."""
    copies: dict[ir.Value, ir.Value] = {}
    constants = set(_constants(graph))
    wide = constants | {value for node in kept for value in node.outputs if value.dtype == ir.DataType.FLOAT}
    for node in halved:
        for index, value in enumerate(node.inputs):
            if value is None or value not in wide:
                continue
            if value not in copies:
                copies[value] = _copy(graph, value) if value in constants else _cast(graph, value, node, half=True)
            node.replace_input_with(index, copies[value])


def _copy(graph: ir.Graph, constant: ir.Value) -> ir.Value:
    tensor = ir.Tensor(_halved(constant.const_value).numpy(), name=f"{constant.name}.float16")
    return ir.tape.Tape(graph).initializer(tensor)


def _cast(graph: ir.Graph, value: ir.Value, before: ir.Node, *, half: bool = False) -> ir.Value:
    to = ir.DataType.FLOAT16 if half else ir.DataType.FLOAT
    name = f"/pooling/{value.name}/Cast{'Down' if half else ''}".replace("//", "/")
    node = ir.node("Cast", [value], attributes={"to": to}, name=name)
    node.outputs[0].name = f"{name}_output_0"
    node.outputs[0].type = ir.TensorType(to)
    graph.insert_before(before, node)
    return node.outputs[0]
