"""Reads safetensors as fp32 with numpy, which has no bfloat16 of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from build.errors import BuildError

Floats = NDArray[np.float32]
_BFLOAT16 = "BF16"
_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, _BFLOAT16: np.uint16}


def read(path: Path) -> Iterator[tuple[str, Floats]]:
    """Yield the name and the values of each floating-point tensor, one at a time; others are left out.

    Raises:
        BuildError: the file is damaged, or cannot be read.
    """
    try:
        with safe_open(path, framework="numpy"):  # checks the header, the offsets and the length of the file
            pass
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        content = np.memmap(path, np.uint8, "r", offset=8 + size) if path.stat().st_size > 8 + size else b""
    except (SafetensorError, OSError, ValueError) as error:
        raise BuildError(f"{path} cannot be read: {error}") from error
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in _DTYPES:
            first, last = entry["data_offsets"]
            yield name, _floats(bytes(content[first:last]), entry["dtype"]).reshape(entry["shape"])


def _floats(data: bytes, dtype: str) -> Floats:
    values = np.frombuffer(data, np.dtype(_DTYPES[dtype]).newbyteorder("<"))
    if dtype == _BFLOAT16:  # the upper half of an fp32
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
