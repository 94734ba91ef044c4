"""A one-node ONNX graph as bytes: the runtime's environment has no `onnx` package to write it with.

ONNX files are protocol buffers: fields, each a key (number << 3 | kind) and a varint or a length with that many bytes.
"""

import numpy as np
from numpy.typing import NDArray

_FLOAT, _UINT8, _INT8, _INT32, _FLOAT16 = 1, 2, 3, 6, 10
_KINDS = {
    np.dtype(np.float32): _FLOAT,
    np.dtype(np.float16): _FLOAT16,
    np.dtype(np.uint8): _UINT8,
    np.dtype(np.int8): _INT8,
}
_OPSET, _IR_VERSION = 17, 8


def product(operator: str, left: np.dtype[np.generic], right: NDArray[np.generic]) -> bytes:
    """Return a graph that multiplies its input `left` by the constant `right` with MatMul or MatMulInteger."""
    result = _KINDS[left] if operator == "MatMul" else _INT32
    node = _text(1, "left") + _text(1, "right") + _text(2, "out") + _text(4, operator)
    dims = b"".join(_number(1, size) for size in right.shape)
    constant = dims + _number(2, _KINDS[right.dtype]) + _text(8, "right") + _bytes(9, right.tobytes())
    graph = (
        _bytes(1, node)
        + _text(2, "product")
        + _bytes(5, constant)
        + _bytes(11, _matrix("left", _KINDS[left]))
        + _bytes(12, _matrix("out", result))
    )
    return _number(1, _IR_VERSION) + _bytes(8, _number(2, _OPSET)) + _bytes(7, graph)


def _matrix(name: str, kind: int) -> bytes:
    shape = _bytes(1, _text(2, "rows")) + _bytes(1, _text(2, "columns" if name == "out" else "inner"))
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
