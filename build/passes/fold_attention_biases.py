"""Take the key's and the value's bias out of attention: neither has to be added to every token.

A bias on the keys adds the same number to all of a query's scores, which softmax takes away again. A bias on the
values comes out of attention as it went in, since a query's weights sum to 1: the layer behind can add it, multiplied
by its own weight.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.passes import GraphPass
from build.passes.fuse_attention import OPERATOR
from build.passes.graph import array, matrix, numbers, only_consumer

_KEY, _VALUE = 1, 2


@dataclass(frozen=True)
class _Bias:
    """The Add of a bias `[out]`, which nothing else reads, to a product with a weight `[in, out]`."""

    add: ir.Node
    product: ir.Value
    weight: ir.Value
    vector: ir.Value

    def drop(self) -> None:
        """Let the readers take the product as it is."""
        graph = self.add.graph
        self.add.outputs[0].replace_all_uses_with(self.product)
        graph.remove(self.add, safe=True)
        if self.vector.is_initializer():
            del graph.initializers[self.vector.name]


class FoldAttentionBiasesPass(GraphPass):
    """Needs attention fused, and linear layers with a bias that it alone reads before it and behind it."""

    name = "fold-attention-biases"

    def rewrite(self, model: ir.Model) -> int:
        """Fold at every attention; its query keeps its bias."""
        return sum(_fold(node) for node in list(model.graph) if node.op_type == OPERATOR)


def _fold(attention: ir.Node) -> bool:
    key, value = (_bias(attention.inputs[index], attention) for index in (_KEY, _VALUE))
    out = _bias_behind(attention)
    if key is None or value is None or out is None:
        return False
    moved = _double(value.vector) @ _double(out.weight)
    _replace(out.vector, (_double(out.vector) + moved).astype(np.float32))
    key.drop()
    value.drop()
    return True


def _bias(value: ir.Value | None, reader: ir.Node | None = None) -> _Bias | None:
    """The bias that makes this value, `x @ weight + bias` with the terms in either order, for one `reader` if given."""
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
    """The bias of the linear layer that alone reads attention's result."""
    product = only_consumer(attention.outputs[0])
    add = only_consumer(product.outputs[0]) if product is not None and matrix(product) is not None else None
    return _bias(add.outputs[0]) if add is not None else None


def _double(value: ir.Value) -> NDArray[np.float64]:
    return numbers(value).astype(np.float64)


def _replace(value: ir.Value, new: NDArray[np.float32]) -> None:
    value.const_value = ir.tensor(new, name=value.name)
