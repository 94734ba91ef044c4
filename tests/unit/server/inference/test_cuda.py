"""Missing parts of CUDA are reported with a remedy, and failures are classified by ONNX Runtime's messages."""

import ctypes
from typing import Any

import pytest

from server.inference import cuda

GIB = 2**30


class Driver:
    """A fake libcuda."""

    def __init__(
        self, version: int = 13000, status: int = 0, gpus: int = 1, capability: tuple[int, int] = (9, 0)
    ) -> None:
        self._version, self._status, self._gpus, self._capability = version, status, gpus, capability

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802 - the driver's names
        version._obj.value = self._version
        return 0

    def cuInit(self, _flags: int) -> int:  # noqa: N802
        return self._status

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self._gpus
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: int) -> int:  # noqa: N802
        value._obj.value = self._capability[attribute - 75]
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:  # noqa: N802
        device._obj.value = number
        return 0

    def cuDeviceTotalMem_v2(self, total: Any, _device: ctypes.c_int) -> int:  # noqa: N802
        total._obj.value = 80 * GIB
        return 0


def machine(driver: Driver | None, *absent: str) -> cuda.Load:
    """Return a loader with this driver and all libraries except the `absent` ones."""

    def load(name: str) -> Any:
        if name in absent or (name == cuda.DRIVER and driver is None):
            raise OSError(f"{name}: cannot open shared object file")
        return driver if name == cuda.DRIVER else object()

    return load


def test_where_all_is_there_the_gpu_s_memory_is_told() -> None:
    assert cuda.check("13.0", machine(Driver())) == cuda.CudaCheck("", 80 * GIB)


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (machine(None), r"driver is not here \(libcuda\.so\.1.*apt install nvidia-driver.*--gpus all"),
        (machine(Driver(version=12040)), r"supports CUDA 12\.4, .*needs CUDA 13: .*580 or newer \(`apt install "),
        (machine(Driver(status=100)), r"no GPU \(cuInit: 100\).*nvidia-smi -L.*--gpus all"),
        (machine(Driver(gpus=0)), r"no GPU.*CUDA_VISIBLE_DEVICES"),
        (
            machine(Driver(capability=(7, 0))),
            r"capability is 7\.0, .*7\.5 and newer: .*CUDA_VISIBLE_DEVICES.*nvidia-smi",
        ),
        (machine(Driver(), "libcudnn.so.9"), r"libcudnn\.so\.9 cannot be loaded.*`pip .*runtime-gpu\.txt`"),
        (machine(Driver(), "libcublas.so.13", "libcudart.so.13"), r"libcudart\.so\.13, libcublas\.so\.13 cannot"),
    ],
    ids=["driver", "version", "init", "device", "too old", "cudnn", "cublas"],
)
def test_what_is_missing_is_named_with_the_command_that_fixes_it(load: cuda.Load, said: str) -> None:
    report = cuda.check("13.0", load)
    assert report.memory is None
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(report.missing)


def test_a_driver_that_lacks_a_function_is_told_of() -> None:
    report = cuda.check("13.0", lambda _: object())
    assert "not whole" in report.missing
    assert "cuDriverGetVersion" in report.missing


def test_libraries_are_those_of_the_cuda_version_that_onnx_runtime_is_built_for() -> None:
    assert "libcublas.so.12" in cuda.check("12.8", machine(Driver(), "libcublas.so.12")).missing


# Messages of ONNX Runtime 1.31.
ARENA = "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 805306368"
LIMIT = "Available memory of 1048576 is smaller than requested bytes of 4194304"
MEMORY = "CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; expr=cudaMalloc((void**)&p, size);"
BLAS_MEMORY = "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&handle);"
LAUNCH = "CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=h ; expr=cudaStreamSynchronize(stream);"
BLAS = "CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR ; GPU=0 ; expr=cublasGemmEx(handle)"


@pytest.mark.parametrize("message", [ARENA, LIMIT, MEMORY, BLAS_MEMORY])
def test_lack_of_memory_is_not_a_lost_gpu(message: str) -> None:
    assert cuda.is_out_of_memory(RuntimeError(message))
    assert not cuda.device_error(RuntimeError(message))


@pytest.mark.parametrize(
    ("message", "report"),
    [
        (LAUNCH, "CUDA failure 719: unspecified launch failure"),
        (BLAS, "CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR"),
    ],
)
def test_any_other_failure_of_cuda_is_a_lost_gpu(message: str, report: str) -> None:
    assert cuda.device_error(RuntimeError(message)) == report
    assert not cuda.is_out_of_memory(RuntimeError(message))


def test_a_bad_input_is_neither() -> None:
    error = RuntimeError("INVALID_ARGUMENT : indices element out of data bounds, idx=99 must be within [-30,29]")
    assert not cuda.is_out_of_memory(error)
    assert not cuda.device_error(error)


class Runtime:
    """A fake libcudart whose page-locking calls return a fixed status."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.unlocked: list[int | None] = []

    def cudaHostRegister(self, _address: ctypes.c_void_p, _size: ctypes.c_size_t, _flags: int) -> int:  # noqa: N802
        return self.status

    def cudaHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802
        self.unlocked.append(address.value)
        return 0


@pytest.mark.parametrize(("status", "locked"), [(0, True), (2, False)])
def test_page_locks_tell_what_cuda_said(status: int, locked: bool) -> None:
    runtime = Runtime(status)
    locks = cuda.page_locks("13.0", lambda _: runtime)
    assert locks is not None
    assert locks.lock(4096, 10) is locked
    locks.unlock(4096)
    assert runtime.unlocked == [4096]


def test_without_cuda_s_runtime_nothing_is_locked() -> None:
    assert cuda.page_locks("13.0", machine(Driver(), "libcudart.so.13")) is None
