"""Runs a CUDA session with inputs and output in reusable host buffers, page-locked if CUDA allows it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# Enough for a run of usual size; for a larger one a buffer grows to the next power of two.
START_BYTES = 1 << 20

Array = NDArray[Any]


class HostMemory(Protocol):
    """Page-locks memory, so that the GPU can copy it directly, without the driver's staging buffer."""

    def lock(self, address: int, size: int) -> bool:
        """Lock these bytes; return whether it succeeded."""
        ...

    def unlock(self, address: int) -> None:
        """Unlock the bytes that were locked at this address."""
        ...


class Buffer:
    """A growing buffer in host memory, page-locked by `host` if possible."""

    def __init__(self, host: HostMemory | None = None) -> None:
        self._host = host
        self._bytes: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.locked = False

    def view(self, shape: Sequence[int], dtype: type[np.generic]) -> Array:
        """Return the beginning of the buffer as an array, which the next call may overwrite."""
        needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if needed > self._bytes.size:
            self._grow(max(START_BYTES, 1 << (needed - 1).bit_length()))
        return self._bytes[:needed].view(dtype).reshape(shape)

    def _grow(self, size: int) -> None:
        if self._host and self.locked:
            self._host.unlock(self._bytes.ctypes.data)
        self._bytes = np.empty(size, np.uint8)
        self.locked = bool(self._host and self._host.lock(self._bytes.ctypes.data, size))


class BoundSession:
    """Runs a session on bound buffers. Not thread-safe; the result of `run` is valid until the next call."""

    def __init__(self, session: Any, dimension: int, host: HostMemory | None = None) -> None:  # noqa: ANN401
        """`session` is an InferenceSession, or a substitute in tests."""
        self._session = session
        self._dimension = dimension
        self._host = host
        self._binding = session.io_binding()
        self._buffers: dict[str, Buffer] = {}

    @property
    def locked(self) -> bool:
        """Whether every buffer in use is page-locked."""
        return bool(self._buffers) and all(buffer.locked for buffer in self._buffers.values())

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """Compute one output of shape [texts, dimension] in float32; only this is copied from the GPU."""
        (output,) = outputs
        for name, value in inputs.items():
            self._bind(self._binding.bind_input, name, value.shape, np.int64)[...] = value
        texts = len(next(iter(inputs.values())))
        vectors = self._bind(self._binding.bind_output, output, (texts, self._dimension), np.float32)
        self._session.run_with_iobinding(self._binding)
        return [vectors]

    def _bind(self, bind: Any, name: str, shape: Sequence[int], dtype: type[np.generic]) -> Array:  # noqa: ANN401
        array = self._buffers.setdefault(name, Buffer(self._host)).view(shape, dtype)
        bind(name, "cpu", 0, dtype, list(shape), array.ctypes.data)
        return array
