"""Checks CUDA's requirements on this machine, reads the GPU's memory size, and classifies CUDA's errors."""

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DRIVER = "libcuda.so.1"
INSTALL = "pip uninstall -y onnxruntime && pip install --no-deps --require-hashes -r requirements/runtime-gpu.txt"
# The lowest compute capability that CUDA 13's libraries support, and the device attributes that give a GPU's.
LEAST_CAPABILITY = (7, 5)
_CAPABILITY = (75, 76)
# The first driver branch that supports a CUDA version, from NVIDIA's CUDA release notes.
DRIVER_BRANCH = {12: 525, 13: 580}
_FAILURE = re.compile(r"\b(CUDA|CUBLAS|CUDNN|CURAND|CUFFT) failure (\d+):? *([^;\n]*)")
_OUT_OF_MEMORY = re.compile(
    r"out of memory|Failed to allocate memory|smaller than requested bytes|_ALLOC_FAILED|CUDA failure 2\b"
)

Load = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class CudaCheck:
    """The result of `check`: what is missing, with the command that fixes it, or the GPU's memory in bytes."""

    missing: str = ""
    memory: int | None = None


class PageLocks:
    """Page-locks host memory for CUDA."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401 - a library has no type
        self._library = library

    def lock(self, address: int, size: int) -> bool:
        """Lock these bytes; return whether it succeeded (a process may have a limit on locked memory)."""
        return not self._library.cudaHostRegister(ctypes.c_void_p(address), ctypes.c_size_t(size), 0)

    def unlock(self, address: int) -> None:
        """Unlock the bytes that were locked at this address."""
        self._library.cudaHostUnregister(ctypes.c_void_p(address))


def page_locks(version: str, load: Load = ctypes.CDLL) -> PageLocks | None:
    """Return page-locking by the runtime library of CUDA `version`, None if that cannot be loaded."""
    try:
        return PageLocks(load(libraries(_major(version))[0]))
    except OSError:
        return None


def libraries(major: int) -> tuple[str, ...]:
    """Return the libraries that ONNX Runtime's CUDA provider loads, in the versions for this CUDA version."""
    return (
        f"libcudart.so.{major}",
        f"libcublasLt.so.{major}",
        f"libcublas.so.{major}",
        "libcurand.so.10",
        "libcudnn.so.9",
    )


def check(version: str, load: Load = ctypes.CDLL) -> CudaCheck:
    """Check for the driver, its version, a GPU and NVIDIA's libraries, as CUDA `version` ("13.0") requires."""
    try:
        driver = load(DRIVER)
    except OSError:
        return CudaCheck(
            f"NVIDIA's driver is not here ({DRIVER} cannot be loaded): install it (`apt install nvidia-driver`), or "
            "give the container the GPU with `docker run --gpus all`, which needs the NVIDIA Container Toolkit"
        )
    major = _major(version)
    try:
        missing = _wrong_version(driver, major) or _no_gpu(driver) or _too_old(driver) or _no_library(major, load)
    except AttributeError as error:
        return CudaCheck(f"NVIDIA's driver is not whole ({error}): install it anew (`apt install nvidia-driver`)")
    return CudaCheck(missing, None if missing else _memory(driver))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether ONNX Runtime failed for lack of GPU memory, or of memory within the limit set on it."""
    return bool(_OUT_OF_MEMORY.search(str(error)))


def device_error(error: BaseException) -> str:
    """Return the GPU's error report if this process can no longer use the GPU, else an empty string.

    CUDA's errors are sticky: after any but lack of memory, every later call in the process fails too.
    """
    failure = _FAILURE.search(str(error))
    if not failure or is_out_of_memory(error):
        return ""
    return f"{failure[1]} failure {failure[2]}: {failure[3].strip()}"


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _wrong_version(driver: Any, major: int) -> str:  # noqa: ANN401
    has = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(has)) or has.value >= 1000 * major:
        return ""
    branch = DRIVER_BRANCH.get(major)
    wanted = f"version {branch} or newer (`apt install nvidia-driver-{branch}`)" if branch else "a newer one"
    shown = f"{has.value // 1000}.{has.value % 1000 // 10}"
    return f"NVIDIA's driver supports CUDA {shown}, this ONNX Runtime needs CUDA {major}: install driver {wanted}"


def _no_gpu(driver: Any) -> str:  # noqa: ANN401
    count = ctypes.c_int()
    status = driver.cuInit(0)
    if not status and not driver.cuDeviceGetCount(ctypes.byref(count)) and count.value:
        return ""
    return (
        f"the driver shows no GPU (cuInit: {status}): see `nvidia-smi -L` and CUDA_VISIBLE_DEVICES; "
        "in a container start it with `docker run --gpus all`"
    )


def _too_old(driver: Any) -> str:  # noqa: ANN401
    parts = []
    for attribute in _CAPABILITY:
        value = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0):
            return ""
        parts.append(value.value)
    if tuple(parts) >= LEAST_CAPABILITY:
        return ""
    least = ".".join(map(str, LEAST_CAPABILITY))
    return (
        f"the GPU's compute capability is {parts[0]}.{parts[1]}, CUDA 13 runs on {least} and newer: choose another one "
        "with CUDA_VISIBLE_DEVICES (`nvidia-smi --query-gpu=index,name,compute_cap --format=csv` lists them)"
    )


def _no_library(major: int, load: Load) -> str:
    absent = [name for name in libraries(major) if not _loads(name, load)]
    return f"{', '.join(absent)} cannot be loaded, of CUDA {major} and cuDNN 9: `{INSTALL}`" if absent else ""


def _loads(name: str, load: Load) -> bool:
    try:
        load(name)
    except OSError:
        return False
    return True


def _memory(driver: Any) -> int | None:  # noqa: ANN401
    device, total = ctypes.c_int(), ctypes.c_size_t()
    if driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceTotalMem_v2(ctypes.byref(total), device):
        return None
    return total.value
