"""Max pooling over packed tokens."""

import numpy as np
import onnx_ir as ir

from build.passes.graph import Scope
from build.passes.layout import Layout


def max_rows(scope: Scope, layout: Layout, hidden: ir.Value, counts: ir.Value) -> ir.Value:
    """Return the largest of each text's rows by component, `[batch, hidden]`.

    `counts`, `[batch, sequence]`, says which of them count. Rows are gathered into a padded view whose padding repeats
    the text's last row, which changes no maximum.
    """
    lowest = scope.constant("lowest", np.array(np.finfo(np.float32).min, np.float32))
    counted = scope.op("Unsqueeze", layout.pack(counts), scope.ints(1))
    places = scope.op("Sub", scope.op("CumSum", layout.mask, scope.ints(1)), scope.ints(1))
    rows = scope.op("Add", scope.op("Unsqueeze", layout.starts, scope.ints(1)), places)
    view = scope.op("Gather", scope.op("Where", counted, hidden, lowest), rows)
    return scope.op("ReduceMax", view, scope.ints(1), keepdims=0)
