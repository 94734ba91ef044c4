"""The machine's own limit: one large matrix product in ONNX Runtime, in fp32 or uint8 times int8."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench import onnx_bytes
from bench.contenders import Task, Vectors

PACKAGES = ("onnxruntime",)
ROWS, INNER, COLUMNS = 1024, 1024, 4096
OPERATIONS = 2 * ROWS * INNER * COLUMNS
_SEED = 1


class Peak:
    """One matrix product; what it is asked to embed plays no part."""

    def __init__(self, session: onnxruntime.InferenceSession, left: NDArray[np.generic]) -> None:
        self._session = session
        self._left = left

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Multiply once: OPERATIONS additions and multiplications. Returns no vectors, [len(sequences), 0]."""
        self._session.run(None, {"left": self._left})
        return np.empty((len(sequences), 0), np.float32)

    def notes(self) -> dict[str, Any]:
        """What is multiplied."""
        return {"rows": ROWS, "inner": INNER, "columns": COLUMNS}


def load(task: Task) -> Peak:
    """Make the graph of `task.precision` (fp32 or int8) with random numbers in it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    random = np.random.default_rng(_SEED)
    if task.precision == "fp32":
        operator, left = "MatMul", random.standard_normal((ROWS, INNER), np.float32)
        right: NDArray[np.generic] = random.standard_normal((INNER, COLUMNS), np.float32)
    else:
        operator, left = "MatMulInteger", random.integers(0, 256, (ROWS, INNER), np.uint8)
        right = random.integers(-127, 128, (INNER, COLUMNS), np.int8)
    graph = onnx_bytes.product(operator, left.dtype, right)
    return Peak(onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]), left)
