"""The machine's peak: one large matrix product in ONNX Runtime, in fp32, fp16 or uint8 times int8."""

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
# Large enough to saturate a GPU.
LARGE = 8192
_SEED = 1

Shape = tuple[int, int, int]


class Peak:
    """One matrix product, whatever the input."""

    def __init__(self, multiply: Callable[[], None], shape: Shape) -> None:
        self._multiply = multiply
        self._shape = shape

    def run(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        """Multiply once; return an empty array [len(sequences), 0]."""
        self._multiply()
        return np.empty((len(sequences), 0), np.float32)

    def notes(self) -> dict[str, Any]:
        """Return the shape of the product and its number of additions and multiplications."""
        rows, inner, columns = self._shape
        return {"rows": rows, "inner": inner, "columns": columns, "operations": 2 * rows * inner * columns}


def load(task: Task) -> Peak:
    """Load a product of random matrices in `task.precision` (fp32, fp16 or int8) on `task.device`."""
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
    """Bind input and output on the GPU, so that no copies are timed."""
    binding = session.io_binding()
    binding.bind_ortvalue_input("left", onnxruntime.OrtValue.ortvalue_from_numpy(left, "cuda", 0))
    binding.bind_output("out", "cuda", 0)

    def multiply() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return multiply
