"""Remove the input `token_type_ids`: a single text has type 0 throughout, so its type embedding is constant."""

import onnx_ir as ir

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import graph_input

INPUT = "token_type_ids"


class FoldTokenTypesPass(GraphPass):
    """Replace the token type lookup with row 0 of its table, which broadcasts over batch and sequence."""

    name = "fold-token-types"

    def needed(self, model: ir.Model) -> bool:
        """Whether the graph has token types as an input (RoBERTa's and DistilBERT's exports do not)."""
        return any(value.name == INPUT for value in model.graph.inputs)

    def requires(self, model: ir.Model) -> None:
        """Check that token types are an input and used only for lookups."""
        for node in graph_input(model.graph, INPUT).consumers():
            if node.op_type != "Gather" or node.inputs[0] is None or node.inputs[0].const_value is None:
                raise UnsupportedGraphError(
                    f"{INPUT} feeds {node.op_type} {node.name!r}, not a lookup in a constant table"
                )

    def rewrite(self, model: ir.Model) -> int:
        """Fold every lookup by `token_type_ids` and remove the input."""
        graph = model.graph
        types = graph_input(graph, INPUT)
        lookups = list(types.consumers())
        for node in lookups:
            _fold(graph, node)
        graph.inputs.remove(types)
        return len(lookups)

    def ensures(self, model: ir.Model) -> None:
        """Check that the input is gone."""
        if self.needed(model):
            raise ir.passes.PostconditionError(f"the graph still has the input {INPUT!r}")


def _fold(graph: ir.Graph, node: ir.Node) -> None:
    table = node.inputs[0].const_value
    row = ir.tensor(table.numpy()[0].copy(), name=f"{table.name}.row0")
    constant = ir.Value(name=row.name, const_value=row, shape=ir.Shape(row.shape), type=ir.TensorType(row.dtype))
    graph.register_initializer(constant)
    node.outputs[0].replace_all_uses_with(constant)
    graph.remove(node, safe=True)
