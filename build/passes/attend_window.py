"""Attention within a window, for texts longer than it: time and memory grow with the length, not with its square.

A text is cut into chunks of twice the window. A chunk's tokens attend to the keys from one window before the chunk to
one window behind it, which are four windows of keys, with a mask that hides those too far away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.passes.graph import MICROSOFT, Scope


@dataclass(frozen=True)
class Window:
    """How many `tokens` to each side a token attends to, with how many heads, and the size of a row."""

    tokens: int
    heads: int
    hidden: int

    @property
    def chunk(self) -> int:
        """Tokens of a chunk."""
        return 2 * self.tokens


def attend_window(
    scope: Scope, shared: Scope, blocks: Sequence[ir.Value], length: ir.Value, window: Window
) -> ir.Value:
    """Return the attention of texts of one `length` (`[1]`), `[texts, length, hidden]`.

    `blocks` are query, key and value, `[texts, length, hidden]`; `shared` holds the constants.
    """
    chunks = _Chunks(scope, shared, length, window)
    query, key, value = blocks
    inputs = (chunks.queries(query), chunks.keys(key), chunks.keys(value), None, None, chunks.mask(query))
    attended = scope.op("MultiHeadAttention", *inputs, domain=MICROSOFT, num_heads=window.heads)
    texts = scope.op("Reshape", attended, chunks.shape(chunks.filled, window.hidden))
    return scope.op("Slice", texts, shared.ints(0), length, shared.ints(1))


class _Chunks:
    """The chunks of texts of one length."""

    def __init__(self, scope: Scope, shared: Scope, length: ir.Value, window: Window) -> None:
        self._scope = scope
        self._ints = shared.ints
        self._shared = shared
        self._length = length
        self._window = window
        size = self._ints(window.chunk)
        self._count = scope.op("Div", scope.op("Add", length, self._ints(window.chunk - 1)), size)
        """`[1]`: chunks of a text."""
        self.filled = scope.op("Mul", self._count, size)
        """`[1]`: tokens of all its chunks."""
        self._behind = scope.op("Sub", self.filled, length)

    def shape(self, rows: ir.Value, columns: int) -> ir.Value:
        """Return the shape `[-1, rows, columns]`."""
        return self._scope.op("Concat", self._ints(-1), rows, self._ints(columns), axis=0)

    def queries(self, block: ir.Value) -> ir.Value:
        """`[texts * chunks, size, hidden]`: the chunks; the last one is filled up with zeros."""
        filled = self._pad(block, self._ints(0), self._behind)
        return self._scope.op("Reshape", filled, self._ints(-1, self._window.chunk, self._window.hidden))

    def keys(self, block: ir.Value) -> ir.Value:
        """`[texts * chunks, 2 * size, hidden]`: each chunk with a window before and behind it."""
        op, ints, wide = self._scope.op, self._ints, self._window.chunk * self._window.hidden
        window = ints(self._window.tokens)
        filled = self._pad(block, window, op("Add", self._behind, window))
        pieces = op("Reshape", filled, self.shape(op("Add", self._count, ints(1)), wide))
        first = op("Slice", pieces, ints(0), self._count, ints(1))
        second = op("Slice", pieces, ints(1), ints(np.iinfo(np.int64).max), ints(1))
        joined = op("Concat", first, second, axis=2)
        return op("Reshape", joined, ints(-1, 2 * self._window.chunk, self._window.hidden))

    def mask(self, block: ir.Value) -> ir.Value:
        """`[texts * chunks, 1, size, 2 * size]`: what is added to the scores."""
        op, ints = self._scope.op, self._ints
        near = op("And", self._near(), self._real())
        lowest = np.array(np.finfo(np.float32).min, np.float32)
        scores = op("Where", near, self._constant("zero", np.zeros((), np.float32)), self._constant("lowest", lowest))
        texts = op("Shape", block, start=0, end=1)
        return op("Tile", scores, op("Concat", texts, ints(1, 1, 1), axis=0))

    def _near(self) -> ir.Value:
        """`[1, 1, size, 2 * size]`: whether query `i` and key `j` of a chunk are at most a window apart."""
        size = self._window.chunk
        ahead = np.arange(2 * size) - np.arange(size)[:, None]
        return self._constant(f"near.{self._window.tokens}", ((ahead >= 0) & (ahead <= size))[None, None])

    def _real(self) -> ir.Value:
        """`[chunks, 1, 1, 2 * size]`: whether a key is a token of the text."""
        op, size, tokens = self._scope.op, self._window.chunk, self._window.tokens
        offsets = self._constant(f"offsets.{tokens}", np.arange(2 * size)[None, None, None] - tokens)
        zero, one = (self._constant(f"scalar.{value}", np.array(value, np.int64)) for value in (0, 1))
        chunks = op("Range", zero, op("Squeeze", self._count), one)
        starts = op("Mul", op("Reshape", chunks, self._ints(-1, 1, 1, 1)), self._ints(size))
        places = op("Add", starts, offsets)
        return op("And", op("GreaterOrEqual", places, self._ints(0)), op("Less", places, self._length))

    def _pad(self, block: ir.Value, before: ir.Value, behind: ir.Value) -> ir.Value:
        """Add rows of zeros before and behind each text."""
        none = self._ints(0)
        pads = self._scope.op("Concat", none, before, none, none, behind, none, axis=0)
        return self._scope.op("Pad", block, pads)

    def _constant(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        return self._shared.constant(f"window.{name}", array)
