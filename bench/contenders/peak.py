"""The machine's own limit: one large matrix product in ONNX Runtime, in fp32, fp16 or uint8 times int8."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench import onnx_bytes
from bench.contenders import Task, Vectors
from server.inference.device import PROVIDERS, DeviceName, detect

PACKAGES = ("onnxruntime",)
ROWS, INNER, COLUMNS = 1024, 1024, 4096
OPERATIONS = 2 * ROWS * INNER * COLUMNS
# A GPU is filled by more.
LARGE = 8192
_SEED = 1

Shape = tuple[int, int, int]


class Peak:
    """One matrix product; what it is asked to embed plays no part."""

    def __init__(self, multiply: Callable[[], None], shape: Shape) -> None:
        self._multiply = multiply
        self._shape = shape

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Multiply once. Returns no vectors, [len(sequences), 0]."""
        self._multiply()
        return np.empty((len(sequences), 0), np.float32)

    def notes(self) -> dict[str, Any]:
        """What is multiplied, and the additions and multiplications of it."""
        rows, inner, columns = self._shape
        return {"rows": rows, "inner": inner, "columns": columns, "operations": 2 * rows * inner * columns}


def load(task: Task) -> Peak:
    """Make the graph of `task.precision` (fp32, fp16 or int8) on `task.device` with random numbers in it."""
    shape = (LARGE, LARGE, LARGE) if task.device == "cuda" else (ROWS, INNER, COLUMNS)
    operator, left, right = _factors(task.precision, shape)
    graph = onnx_bytes.product(operator, left.dtype, right)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    device: DeviceName = "cuda" if task.device == "cuda" else "cpu"
    if device == "cuda":
        detect("cuda", None)
    session = onnxruntime.InferenceSession(graph, options, providers=[PROVIDERS[device]], enable_fallback=0)
    return Peak(_bound(session, left) if device == "cuda" else lambda: session.run(None, {"left": left}), shape)


def _factors(precision: str, shape: Shape) -> tuple[str, NDArray[np.generic], NDArray[np.generic]]:
    rows, inner, columns = shape
    random = np.random.default_rng(_SEED)
    if precision == "int8":
        left = random.integers(0, 256, (rows, inner), np.uint8)
        return "MatMulInteger", left, random.integers(-127, 128, (inner, columns), np.int8)
    dtype = np.float16 if precision == "fp16" else np.float32
    left, right = (random.standard_normal(size, np.float32) for size in ((rows, inner), (inner, columns)))
    return "MatMul", left.astype(dtype), right.astype(dtype)


def _bound(session: Any, left: NDArray[np.generic]) -> Callable[[], None]:  # noqa: ANN401 - onnxruntime is untyped
    """The product with its input and its result on the GPU: nothing is copied while it is timed."""
    binding = session.io_binding()
    binding.bind_ortvalue_input("left", onnxruntime.OrtValue.ortvalue_from_numpy(left, "cuda", 0))
    binding.bind_output("out", "cuda", 0)

    def multiply() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return multiply
