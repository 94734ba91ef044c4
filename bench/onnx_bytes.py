"""Serialize small ONNX graphs without the `onnx` package, which the runtime environment does not have.

ONNX files are protocol buffers. A field is a key (number << 3 | wire type) followed by a varint, or by a length and
that many bytes.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, INT32, INT64 = 1, 6, 7
_UINT8, _INT8, _FLOAT16 = 2, 3, 10
_KINDS = {
    np.dtype(np.float32): FLOAT,
    np.dtype(np.float16): _FLOAT16,
    np.dtype(np.uint8): _UINT8,
    np.dtype(np.int8): _INT8,
    np.dtype(np.int64): INT64,
}
_IR_VERSION = 8
_INT_ATTRIBUTE = 2


def product(operator: str, left: np.dtype[np.generic], right: NDArray[np.generic]) -> bytes:
    """Return a graph that multiplies its input `left` by the constant `right` with MatMul or MatMulInteger."""
    kind = _KINDS[left]
    return model(
        "product",
        [node(operator, ["left", "right"], "out")],
        constants=[tensor("right", right)],
        inputs=[value("left", kind, ["rows", "inner"])],
        outputs=[value("out", kind if operator == "MatMul" else INT32, ["rows", "columns"])],
        opset=17,
    )


def model(
    name: str,
    nodes: Iterable[bytes],
    *,
    constants: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    opset: int,
) -> bytes:
    """Serialize a model with one graph from parts that the functions below return."""
    parts = ((1, nodes), (2, [name.encode()]), (5, constants), (11, inputs), (12, outputs))
    graph = b"".join(_bytes(field, part) for field, written in parts for part in written)
    return _number(1, _IR_VERSION) + _bytes(8, _number(2, opset)) + _bytes(7, graph)


def node(operator: str, inputs: Iterable[str], output: str, **attributes: int) -> bytes:
    """Serialize a node with one output and integer attributes."""
    read = b"".join(_text(1, name) for name in inputs)
    set_ = b"".join(
        _bytes(5, _text(1, name) + _number(3, number) + _number(20, _INT_ATTRIBUTE))
        for name, number in attributes.items()
    )
    return read + _text(2, output) + _text(4, operator) + set_


def tensor(name: str, array: NDArray[np.generic]) -> bytes:
    """Serialize an initializer."""
    dims = b"".join(_number(1, size) for size in array.shape)
    return dims + _number(2, _KINDS[array.dtype]) + _text(8, name) + _bytes(9, array.tobytes())


def value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    """Serialize an input or output; a dynamic axis has a name instead of a size."""
    dims = (_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape)
    typed = _number(1, kind) + _bytes(2, b"".join(_bytes(1, dim) for dim in dims))
    return _text(1, name) + _bytes(2, _bytes(1, typed))


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1  # negative numbers in two's complement
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
