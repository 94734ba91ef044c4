"""Take `token_type_ids` out of the graph: a single text has type 0 everywhere, so its embedding is a constant."""

import onnx_ir as ir

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import graph_input

INPUT = "token_type_ids"


def needed(model: ir.Model) -> bool:
    """Whether the graph asks for token types at all (RoBERTa's and DistilBERT's exports do not)."""
    return any(value.name == INPUT for value in model.graph.inputs)


class FoldTokenTypesPass(GraphPass):
    """Replace the lookup of token types by row 0 of its table, which broadcasts over batch and sequence."""

    name = "fold-token-types"

    def requires(self, model: ir.Model) -> None:
        """The graph asks for token types, and only looks them up."""
        for node in graph_input(model.graph, INPUT).consumers():
            if node.op_type != "Gather" or node.inputs[0] is None or node.inputs[0].const_value is None:
                raise UnsupportedGraphError(
                    f"{INPUT} feeds {node.op_type} {node.name!r}, not a lookup in a constant table"
                )

    def rewrite(self, model: ir.Model) -> int:
        """Fold every lookup by `token_type_ids` and drop that input."""
        graph = model.graph
        types = graph_input(graph, INPUT)
        lookups = list(types.consumers())
        for node in lookups:
            _fold(graph, node)
        graph.inputs.remove(types)
        return len(lookups)

    def ensures(self, model: ir.Model) -> None:
        """The graph asks for token types no more."""
        if needed(model):
            raise ir.passes.PostconditionError(f"the graph still has the input {INPUT!r}")


def _fold(graph: ir.Graph, node: ir.Node) -> None:
    table = node.inputs[0].const_value
    row = ir.tensor(table.numpy()[0].copy(), name=f"{table.name}.row0")
    constant = ir.Value(name=row.name, const_value=row, shape=ir.Shape(row.shape), type=ir.TensorType(row.dtype))
    graph.register_initializer(constant)
    node.outputs[0].replace_all_uses_with(constant)
    graph.remove(node, safe=True)
