"""Remove the key and value biases of attention.

The key bias adds the same constant to all scores of a query, and softmax is shift-invariant. The value bias passes
through attention unchanged, because the weights of a query sum to 1; multiplied by the output projection's weight, it
is folded into that layer's bias.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.fuse_attention import OPERATOR
from build.passes.graph import array, matrix, numbers, only_consumer

_KEY, _VALUE = 1, 2


@dataclass(frozen=True)
class _Bias:
    """The Add of an unshared bias `[out]` to a product with a weight `[in, out]`."""

    add: ir.Node
    product: ir.Value
    weight: ir.Value
    vector: ir.Value

    def drop(self) -> None:
        """Remove the Add; its consumers read the product."""
        graph = self.add.graph
        self.add.outputs[0].replace_all_uses_with(self.product)
        graph.remove(self.add, safe=True)
        if self.vector.is_initializer():
            del graph.initializers[self.vector.name]


class FoldAttentionBiasesPass(GraphPass):
    """Requires fused attention between linear layers with unshared biases."""

    name = "fold-attention-biases"

    def needed(self, model: ir.Model) -> bool:
        """Whether a key or value has a bias (ModernBERT's have none), or no attention is fused."""
        attentions = [node for node in model.graph if node.op_type == OPERATOR]
        projections = [node.inputs[index].producer() for node in attentions for index in (_KEY, _VALUE)]
        return not attentions or any(node is None or node.op_type == "Add" for node in projections)

    def requires(self, model: ir.Model) -> None:
        """Check that attention is fused and that at least one node has the biases."""
        attentions = [node for node in model.graph if node.op_type == OPERATOR]
        if not attentions:
            raise ir.passes.PreconditionError("no attention is fused")
        if all(_biases(node) is None for node in attentions):
            raise UnsupportedGraphError("no attention has a bias of its own on keys and on values and one behind it")

    def rewrite(self, model: ir.Model) -> int:
        """Fold the biases of every attention; the query keeps its bias."""
        foldable = [biases for node in model.graph if (biases := _biases(node)) is not None]
        for key, value, behind in foldable:
            moved = _double(value.vector) @ _double(behind.weight)
            _replace(behind.vector, (_double(behind.vector) + moved).astype(np.float32))
            key.drop()
            value.drop()
        return len(foldable)

    def ensures(self, model: ir.Model) -> None:
        """Check that no foldable bias is left."""
        for node in model.graph:
            if _biases(node) is not None:
                raise ir.passes.PostconditionError(f"{node.name!r} still has its biases")


def _biases(attention: ir.Node) -> tuple[_Bias, _Bias, _Bias] | None:
    """Return the key, value and output projection biases; None if one is missing or shared."""
    if attention.op_type != OPERATOR:
        return None
    key, value = (_bias(attention.inputs[index], attention) for index in (_KEY, _VALUE))
    behind = _bias_behind(attention)
    return None if key is None or value is None or behind is None else (key, value, behind)


def _bias(value: ir.Value | None, reader: ir.Node | None = None) -> _Bias | None:
    """Match `x @ weight + bias`, in either order, read only by `reader` if given."""
    add = value.producer() if value is not None else None
    if add is None or add.op_type != "Add" or (reader is not None and only_consumer(value) is not reader):
        return None
    for product, vector in (add.inputs, add.inputs[::-1]):
        node, shift = product.producer(), array(vector)
        weight = matrix(node) if node is not None else None
        alone = only_consumer(product) is add and len(vector.uses()) == 1
        if weight is not None and shift is not None and shift.ndim == 1 and alone:
            return _Bias(add, product, weight, vector)
    return None


def _bias_behind(attention: ir.Node) -> _Bias | None:
    """Return the bias of the linear layer that is the only consumer of attention."""
    product = only_consumer(attention.outputs[0])
    add = only_consumer(product.outputs[0]) if product is not None and matrix(product) is not None else None
    return _bias(add.outputs[0]) if add is not None else None


def _double(value: ir.Value) -> NDArray[np.float64]:
    return numbers(value).astype(np.float64)


def _replace(value: ir.Value, new: NDArray[np.float32]) -> None:
    value.const_value = ir.tensor(new, name=value.name)
