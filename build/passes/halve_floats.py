"""fp16: every float32 tensor of the encoder becomes float16, inputs and outputs of the graph stay as they are.

Written here rather than taken from ONNX Runtime's converter because that one copies the whole model several times
(10 GB at BGE-large size); this pass converts one tensor after the other.
"""

import numpy as np
import onnx_ir as ir

from build.passes import GraphPass

# A sum over the sequence, and the squares under a norm, can leave fp16's range (65,504): they stay in fp32.
# LayerNormalization may go to fp16 because it accumulates in fp32 by its definition (ONNX, attribute stash_type).
KEPT_FP32 = ("/pooling/", "/normalize/")
_LARGEST = float(np.finfo(np.float16).max)


class HalveFloatsPass(GraphPass):
    """Convert constants, casts and weights to float16, and cast back to float32 where the kept nodes begin."""

    name = "float16"

    def requires(self, model: ir.Model) -> None:
        """There is a weight in fp32."""
        if not _wide(model.graph):
            raise ir.passes.PreconditionError("the graph has no weight in fp32")

    def rewrite(self, model: ir.Model) -> int:
        """Convert every node but those under KEPT_FP32; returns the number of tensors and casts converted."""
        graph, wide = model.graph, _wide(model.graph)
        kept, halved = _parted(graph)
        for value in wide:
            value.const_value = _halved(value.const_value)
            value.type = ir.TensorType(ir.DataType.FLOAT16)
        changed = len(wide) + sum(_halve_attributes(node) for node in halved)
        _forget_types(halved)
        _cast_back(graph, kept, set(halved))
        return changed

    def ensures(self, model: ir.Model) -> None:
        """No weight is left in fp32, and what the graph gives still is."""
        for value in _wide(model.graph):
            raise ir.passes.PostconditionError(f"{value.name!r} is still in fp32")
        for value in model.graph.outputs:
            if value.dtype != ir.DataType.FLOAT:
                raise ir.passes.PostconditionError(f"the output {value.name!r} is {value.dtype}, not fp32")


def _parted(graph: ir.Graph) -> tuple[list[ir.Node], list[ir.Node]]:
    """The nodes that stay in fp32, and all others."""
    nodes = list(graph)
    kept = [node for node in nodes if (node.name or "").startswith(KEPT_FP32)]
    return kept, [node for node in nodes if not (node.name or "").startswith(KEPT_FP32)]


def _wide(graph: ir.Graph) -> list[ir.Value]:
    """The constants in fp32 that no kept node reads."""
    exempt = {value for node in _parted(graph)[0] for value in node.inputs if value is not None}
    return [
        value
        for value in graph.initializers.values()
        if value not in exempt and value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT
    ]


def _halved(tensor: ir.TensorProtocol) -> ir.Tensor:
    # The mask's "minus infinity" is float32's lowest number: it becomes fp16's lowest, still finite.
    bounded = np.clip(tensor.numpy(), -_LARGEST, _LARGEST)
    return ir.Tensor(bounded.astype(np.float16), name=tensor.name)


def _halve_attributes(node: ir.Node) -> int:
    """Convert what a node makes itself: Constant and ConstantOfShape values, casts to float32."""
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
    """Drop float32 annotations that are no longer true; whoever reads the file infers them again."""
    for node in nodes:
        for value in node.outputs:
            if value.dtype == ir.DataType.FLOAT:
                value.type = ir.TensorType(ir.DataType.FLOAT16)


def _cast_back(graph: ir.Graph, kept: list[ir.Node], halved: set[ir.Node]) -> None:
    """Put one cast to float32 behind each float16 value that a kept node reads."""
    casts: dict[ir.Value, ir.Value] = {}
    for node in kept:
        for index, value in enumerate(node.inputs):
            if value is None or value.producer() not in halved or value.dtype != ir.DataType.FLOAT16:
                continue
            if value not in casts:
                casts[value] = _cast(graph, value, before=node)
            node.replace_input_with(index, casts[value])


def _cast(graph: ir.Graph, value: ir.Value, before: ir.Node) -> ir.Value:
    name = f"/pooling/{value.name}/Cast".replace("//", "/")
    node = ir.node("Cast", [value], attributes={"to": ir.DataType.FLOAT}, name=name)
    node.outputs[0].name = f"{name}_output_0"
    node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(before, node)
    return node.outputs[0]
