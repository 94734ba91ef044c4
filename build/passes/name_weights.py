"""Give the linear layers' weights the names they have in the source model.

The exporter transposes them and names the copy `onnx::MatMul_740`; the node that reads it carries the module
path, which is what someone who opens the file in Netron wants to read.
"""

import onnx_ir as ir

from build.passes import GraphPass


class NameWeightsPass(GraphPass):
    """Rename each anonymous MatMul weight to its module path, `encoder.layer.0.output.dense.weight`."""

    name = "name-weights"

    def rewrite(self, model: ir.Model) -> int:
        """Rename in place; tables that already have a module's name are left alone."""
        renamed = 0
        taken = set(model.graph.initializers)
        for node in model.graph:
            weight = node.inputs[1] if node.op_type == "MatMul" else None
            if weight is None or weight.const_value is None or "::" not in (weight.name or ""):
                continue
            path = _module_path(node.name or "")
            if path and path not in taken:
                weight.name = path
                taken.add(path)
                renamed += 1
        return renamed


def _module_path(node_name: str) -> str:
    """`/encoder/layer.0/output/dense/MatMul` → `encoder.layer.0.output.dense.weight`."""
    parts = node_name.strip("/").split("/")[:-1]
    return ".".join([*parts, "weight"]) if parts else ""
