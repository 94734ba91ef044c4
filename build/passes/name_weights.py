"""Restore the source model's names of linear layers' weights.

The exporter transposes them and names the copies `onnx::MatMul_740`. The consuming node's name has the module path,
which is more readable, for example in Netron.
"""

import onnx_ir as ir

from build.passes import GraphPass


class NameWeightsPass(GraphPass):
    """Rename each anonymous MatMul weight to its module path, `encoder.layer.0.output.dense.weight`."""

    name = "name-weights"

    def needed(self, model: ir.Model) -> bool:
        """Whether there is an anonymous weight (there is none if the exporter transposed nothing)."""
        return bool(_anonymous(model.graph))

    def requires(self, model: ir.Model) -> None:
        """Check that there is an anonymous weight."""
        if not self.needed(model):
            raise ir.passes.PreconditionError("every weight has a name already")

    def rewrite(self, model: ir.Model) -> int:
        """Rename anonymous weights in place."""
        anonymous = _anonymous(model.graph)
        for path, weight in anonymous.items():
            weight.name = path
        return len(anonymous)

    def ensures(self, model: ir.Model) -> None:
        """Check that no anonymous weight is left."""
        if self.needed(model):
            raise ir.passes.PostconditionError(f"{next(iter(_anonymous(model.graph)))!r} was not named")


def _anonymous(graph: ir.Graph) -> dict[str, ir.Value]:
    """Return the weights to rename, by new name."""
    by_name: dict[str, ir.Value] = {}
    for node in graph:
        weight = node.inputs[1] if node.op_type == "MatMul" else None
        if weight is None or weight.const_value is None or "::" not in (weight.name or ""):
            continue
        path = module_path(node.name or "")
        if path and path not in graph.initializers and weight not in by_name.values():
            by_name.setdefault(path, weight)
    return by_name


def module_path(node_name: str) -> str:
    """`/encoder/layer.0/output/dense/MatMul` → `encoder.layer.0.output.dense.weight`."""
    parts = node_name.strip("/").split("/")[:-1]
    return ".".join([*parts, "weight"]) if parts else ""
