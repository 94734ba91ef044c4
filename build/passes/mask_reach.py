"""What an additive attention mask lets each token attend to: the whole text, or a window around the token."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from build.passes import UnsupportedGraphError
from build.passes.graph import ancestors, graph_input, scalar
from build.passes.probe import probe

_MASK, _IDS = "attention_mask", "input_ids"
_HIDDEN = -1e4
"""Scores below this get no weight."""
_LONGEST = 8192


def window(model: ir.Model, mask: ir.Value) -> int | None:
    """Return how many tokens to each side a token attends to, None for the whole text.

    The mask is computed for a text longer than twice any constant in it, so that a window cannot be missed.

    Raises:
        UnsupportedGraphError: it hides other tokens than padding and those outside a symmetric window.
    """
    length = 2 * max(_constants(mask), default=0) + 8
    if length > _LONGEST:
        raise UnsupportedGraphError(f"the mask {mask.name!r} has a constant that is too large to try out")
    padding = length // 4
    reached = _reached(model, mask, length, padding)
    places = np.arange(length - padding)
    distance = np.abs(places[:, None] - places)
    tokens = reached[..., : length - padding]
    side = int(tokens[0, 0].sum()) - 1
    if reached[..., length - padding :].any() or not (tokens == (distance <= side)).all():
        raise UnsupportedGraphError(f"the mask {mask.name!r} hides other tokens than padding and distant ones")
    return None if tokens.all() else side


def _reached(model: ir.Model, mask: ir.Value, length: int, padding: int) -> NDArray[np.bool_]:
    """Return `[batch, query, key]`: the keys that each query attends to, in a text that ends in padding."""
    ids = np.zeros((1, length), np.int64)
    real = np.ones((1, length), np.int64)
    real[:, length - padding :] = 0
    given = {graph_input(model.graph, _IDS): ids, graph_input(model.graph, _MASK): real}
    (scores,) = probe(model, given, [mask])
    if scores.ndim != 4 or scores.shape[1] != 1:
        raise UnsupportedGraphError(f"the mask {mask.name!r} is of shape {list(scores.shape)}")
    rows = np.broadcast_to(scores[:, 0].astype(np.float32), (1, length, length))[:, : length - padding]
    return np.asarray(rows > _HIDDEN)


def _constants(mask: ir.Value) -> set[int]:
    """Return the whole constants that the mask is computed with, other than ends of slices."""
    numbers = map(scalar, ancestors(mask))
    return {round(number) for number in numbers if number is not None and 1 < number < 2**40}
