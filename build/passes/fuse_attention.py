"""Fuse the exporter's attention subgraph into one `MultiHeadAttention`.

The operator applies the scale 1/sqrt(head size) itself and takes the mask as `[batch, sequence]`, whereas the export
expands it to `[batch, 1, sequence, sequence]` with -3.4e38 at masked positions. A mask that also hides distant tokens
stays as it is, added to the scores, and the node's metadata has the window.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript.rewriter import RewriteRuleClassBase, RewriteRuleSet
from onnxscript.rewriter.pattern import OrValue

from build.passes import GraphPass, UnsupportedGraphError
from build.passes.graph import (
    MICROSOFT,
    Scope,
    array,
    graph_input,
    module,
    name_after,
    only_consumer,
    require_opset,
    scalar,
    value_inputs,
)
from build.passes.mask_reach import window

OPERATOR = "MultiHeadAttention"
MASK = "attention_mask"
WINDOW = "window"
"""Metadata of a node: how many tokens to each side a token attends to."""


class FuseAttentionPass(GraphPass):
    """Replace each attention core with one operator; the projections are kept."""

    name = "fuse-attention"

    def requires(self, model: ir.Model) -> None:
        """Check that the mask is an input."""
        graph_input(model.graph, MASK)

    def rewrite(self, model: ir.Model) -> int:
        """Fuse every attention core whose mask depends only on `attention_mask`."""
        _untie(model.graph)
        scope = Scope(model.graph, "/attention_mask")
        mask = scope.op("Cast", graph_input(model.graph, MASK), to=ir.DataType.INT32)
        window_of = cache(partial(window, model))
        rules = [rule.rule(mask, window_of) for rule in (_ScaledInputs, _TransposedKeys, _DividedScores)]
        count: int = RewriteRuleSet(rules).apply_to_model(model)
        if not count:
            raise UnsupportedGraphError("the graph has no attention in one of the forms that can be fused")
        model.graph.sort()
        name_after(model.graph, {OPERATOR}, lambda node: module(*node.inputs[:2]))
        RemoveUnusedNodesPass()(model)
        require_opset(model, MICROSOFT)
        return count

    def ensures(self, model: ir.Model) -> None:
        """Check that no unfused attention is left."""
        for node in model.graph:
            if _is_core(node):
                raise ir.passes.PostconditionError(f"the attention of {node.name!r} was not fused")


class _Attention(RewriteRuleClassBase):  # type: ignore[misc]
    """Common part of the rewrite rules."""

    def __init__(self, mask: ir.Value, window_of: Callable[[ir.Value], int | None]) -> None:
        super().__init__()
        self._mask = mask
        self._window_of = window_of

    def fits(self, mask: ir.Value, heads: ir.Value, bias: ir.Value | None = None, **_: Any) -> bool:
        """Return whether the mask depends only on `attention_mask`, the bias on no input, and the heads are known.

        Raises:
            UnsupportedGraphError: the mask hides tokens inside the text, other than those outside a window.
        """
        known = value_inputs(mask) == {MASK} and (bias is None or not value_inputs(bias)) and _heads(heads) is not None
        return known and (self._window_of(mask) is None or bias is None)

    def rewrite(
        self,
        op: Any,
        query: ir.Value,
        key: ir.Value,
        value: ir.Value,
        heads: ir.Value,
        mask: ir.Value,
        bias: ir.Value | None = None,
        **_: Any,
    ) -> ir.Value:
        """Return the fused operator."""
        tokens = self._window_of(mask)
        masked = [None, mask] if tokens is not None else [self._mask, bias]
        inputs = [query, key, value, None, *masked]
        while inputs[-1] is None:
            inputs.pop()
        fused: ir.Value = op.MultiHeadAttention(*inputs, num_heads=_heads(heads), _domain=MICROSOFT)
        node = fused.producer()
        if tokens is not None and node is not None:
            node.metadata_props[WINDOW] = str(tokens)
        return fused


class _ScaledInputs(_Attention):
    """torch's scaled_dot_product_attention: both operands are scaled by the fourth root of 1/head size."""

    def pattern(
        self,
        op: Any,
        query: ir.Value,
        key: ir.Value,
        value: ir.Value,
        mask: ir.Value,
        heads: ir.Value,
        key_heads: ir.Value,
        value_heads: ir.Value,
        joined: ir.Value,
        first: ir.Value,
        last: ir.Value,
        one: ir.Value,
    ) -> ir.Value:
        """Match BERT, RoBERTa, XLM-RoBERTa and DistilBERT as of transformers 4.57."""
        left = op.Transpose(op.Reshape(query, heads), perm=[0, 2, 1, 3])
        right = self.keys(op, op.Reshape(key, key_heads))
        values = op.Transpose(op.Reshape(value, value_heads), perm=[0, 2, 1, 3])
        size = op.Cast(op.Slice(op.Shape(left), first, last), to=1)
        scale = op.Cast(op.Div(one, op.Sqrt(size)), to=1)
        scores = op.MatMul(op.Mul(left, op.Sqrt(scale)), op.Mul(right, op.Sqrt(scale)))
        weights = op.Softmax(op.Add(scores, mask), axis=-1)
        return op.Reshape(op.Transpose(op.MatMul(weights, values), perm=[0, 2, 1, 3]), joined)

    def keys(self, op: Any, heads: Any) -> Any:
        """Return the right operand of the scores for keys `[batch, sequence, heads, size]`."""
        return op.Transpose(heads, perm=[0, 2, 3, 1])

    def check(self, context: object, first: ir.Value, one: ir.Value, **bound: Any) -> bool:  # noqa: ARG002
        """Check also that the scale is computed from the last axis."""
        return scalar(first) == -1 and scalar(one) == 1 and self.fits(**bound)


class _TransposedKeys(_ScaledInputs):
    """The same with keys that are transposed twice, as after rotary positions: ModernBERT."""

    def keys(self, op: Any, heads: Any) -> Any:
        """Return the right operand of the scores for keys `[batch, sequence, heads, size]`."""
        return op.Transpose(op.Transpose(heads, perm=[0, 2, 1, 3]), perm=[0, 1, 3, 2])


class _DividedScores(_Attention):
    """Scores that are divided by sqrt(head size), with MPNet's relative position bias or without one."""

    def pattern(
        self,
        op: Any,
        query: ir.Value,
        key: ir.Value,
        value: ir.Value,
        mask: ir.Value,
        bias: ir.Value,
        root: ir.Value,
        heads: ir.Value,
        key_heads: ir.Value,
        value_heads: ir.Value,
        zeroth: ir.Value,
        first: ir.Value,
        axis: ir.Value,
        other_axis: ir.Value,
        width: ir.Value,
    ) -> ir.Value:
        """Match MPNet, ELECTRA and Megatron-BERT, and BERT, RoBERTa and XLM-RoBERTa with attn_implementation="eager".

        As of transformers 4.57; the output shape is taken from the product.
        """
        left = op.Transpose(op.Reshape(query, heads), perm=[0, 2, 1, 3])
        right = op.Transpose(op.Reshape(key, key_heads), perm=[0, 2, 3, 1])
        values = op.Transpose(op.Reshape(value, value_heads), perm=[0, 2, 1, 3])
        divided = op.Div(op.MatMul(left, right), root)
        scores = OrValue([divided, op.Add(divided, bias)])
        weights = op.Softmax(op.Add(scores, mask), axis=-1)
        context = op.Transpose(op.MatMul(weights, values), perm=[0, 2, 1, 3])
        batch = op.Unsqueeze(op.Gather(op.Shape(context), zeroth), axis)
        sequence = op.Unsqueeze(op.Gather(op.Shape(context), first), other_axis)
        return op.Reshape(context, op.Concat(batch, sequence, width, axis=0))

    def check(self, context: object, root: ir.Value, heads: ir.Value, **bound: Any) -> bool:  # noqa: ARG002
        """Check also that the divisor is the square root of the head size."""
        shape, divisor = _dimensions(heads), scalar(root)
        exact = shape is not None and divisor is not None and math.isclose(divisor, math.sqrt(shape[1]), rel_tol=1e-6)
        return exact and self.fits(heads=heads, **bound)


def _untie(graph: ir.Graph) -> None:
    """Undo the exporter's deduplication of equal tensors through Identity nodes.

    Identity hides that a value is constant, and later passes must be able to change one module's weights separately.
    """
    for node in list(graph):
        tensor = node.inputs[0].const_value if node.op_type == "Identity" and node.inputs[0] is not None else None
        if tensor is None or node.outputs[0].is_graph_output():
            continue
        shared, own = node.inputs[0], node.outputs[0]
        constant = ir.Value(name=own.name, shape=shared.shape, type=shared.type, const_value=tensor)
        own.replace_all_uses_with(constant)
        graph.remove(node, safe=True)
        graph.register_initializer(constant)
    for value in list(graph.initializers.values()):
        _give_each_its_own(graph, value)


def _give_each_its_own(graph: ir.Graph, value: ir.Value) -> None:
    """Copy a bias or weight that several layers share, as in ALBERT; the copies have one tensor."""
    uses = [use for use in value.uses() if use.node.op_type in {"Add", "MatMul"}]
    for number, (node, index) in enumerate(uses[1:], 1):
        name = f"{value.name}.{number}"
        copy = ir.Value(name=name, shape=value.shape, type=value.type, const_value=value.const_value)
        graph.register_initializer(copy)
        node.replace_input_with(index, copy)


def _dimensions(shape: ir.Value) -> tuple[int, int] | None:
    """Return number and size of heads from the Reshape target `[batch, sequence, heads, size]`."""
    producer, whole = shape.producer(), array(shape)
    if whole is not None and whole.size == 4:
        return int(whole[2]), int(whole[3])
    if producer is None or producer.op_type != "Concat" or len(producer.inputs) != 4:
        return None
    heads, size = array(producer.inputs[2]), array(producer.inputs[3])
    return None if heads is None or size is None else (int(heads.item()), int(size.item()))


def _heads(shape: ir.Value) -> int | None:
    dimensions = _dimensions(shape)
    return dimensions[0] if dimensions else None


def _is_core(node: ir.Node) -> bool:
    """Return whether the node is the Softmax of an attention."""
    reader = only_consumer(node.outputs[0]) if node.op_type == "Softmax" else None
    return reader is not None and reader.op_type == "MatMul"
