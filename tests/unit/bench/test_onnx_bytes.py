import numpy as np
import onnxruntime
import pytest

from bench import onnx_bytes
from bench.contenders import Task, peak


def test_the_product_is_the_product() -> None:
    left = np.arange(6, dtype=np.float32).reshape(2, 3)
    right = np.arange(12, dtype=np.float32).reshape(3, 4)
    session = onnxruntime.InferenceSession(onnx_bytes.product("MatMul", left.dtype, right))
    np.testing.assert_array_equal(session.run(None, {"left": left})[0], left @ right)


def test_the_product_of_bytes_is_whole() -> None:
    left = np.array([[255, 3]], np.uint8)
    right = np.array([[-127], [4]], np.int8)
    session = onnxruntime.InferenceSession(onnx_bytes.product("MatMulInteger", left.dtype, right))
    (out,) = session.run(None, {"left": left})
    assert (out.dtype, out.tolist()) == (np.int32, [[-127 * 255 + 12]])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_limit_runs(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    for name in ("ROWS", "INNER", "COLUMNS"):
        monkeypatch.setattr(peak, name, 32)
    contender = peak.load(Task("tiny", precision, 1, "", 16, 8, "cls", "", ""))
    assert contender.run([[1], [2]]).shape == (2, 0)
    assert contender.notes() == {"rows": 32, "inner": 32, "columns": 32, "operations": 2 * 32**3}
