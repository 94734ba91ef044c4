"""Give the linear layers' weights the names they have in the source model.

The exporter transposes them and names the copy `onnx::MatMul_740`; the node that reads it carries the module
path, which is what someone who opens the file in Netron wants to read.
"""

import onnx_ir as ir

from build.passes import GraphPass


class NameWeightsPass(GraphPass):
    """Rename each anonymous MatMul weight to its module path, `encoder.layer.0.output.dense.weight`."""

    name = "name-weights"

    def requires(self, model: ir.Model) -> None:
        """A weight has no name of its own."""
        if not needed(model):
            raise ir.passes.PreconditionError("every weight has a name already")

    def rewrite(self, model: ir.Model) -> int:
        """Rename in place; tables that already have a module's name are left alone."""
        anonymous = _anonymous(model.graph)
        for path, weight in anonymous.items():
            weight.name = path
        return len(anonymous)

    def ensures(self, model: ir.Model) -> None:
        """Every weight has its name."""
        if needed(model):
            raise ir.passes.PostconditionError(f"{next(iter(_anonymous(model.graph)))!r} was not named")


def needed(model: ir.Model) -> bool:
    """Whether there is a weight to name (not where the exporter had nothing to transpose)."""
    return bool(_anonymous(model.graph))


def _anonymous(graph: ir.Graph) -> dict[str, ir.Value]:
    """The weights to rename, by the free names that they shall have."""
    found: dict[str, ir.Value] = {}
    for node in graph:
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is None or weight.const_value is None or "::" not in (weight.name or ""):
            continue
        path = _module_path(node.name or "")
        if path and path not in graph.initializers and weight not in found.values():
            found.setdefault(path, weight)
    return found


def _module_path(node_name: str) -> str:
    """`/encoder/layer.0/output/dense/MatMul` → `encoder.layer.0.output.dense.weight`."""
    parts = node_name.strip("/").split("/")[:-1]
    return ".".join([*parts, "weight"]) if parts else ""
