"""Chooses the device and the precision before anything is loaded, each with a reason for the log."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import onnxruntime

from server.errors import StartError
from server.inference import cuda
from server.model.manifest import Precision, Variant
from server.settings import Device

DeviceName = Literal["cpu", "cuda"]
PROVIDERS: dict[DeviceName, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
INT8_FLAGS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}
# Assumed if ONNX Runtime does not report its version: the one in requirements/runtime-gpu.txt is built for this.
CUDA_VERSION = "13.0"
# Passes that keep sums of 8-bit products within 16 bits. Builds before them have neither.
EXACT_INT8 = {"int8-pairs", "reduce-range"}
INT8: tuple[Precision, ...] = ("int8", "int8-static")


class Choice(NamedTuple):
    """The device and precision to run, each with its reason; `gpu_memory` is the GPU's total, in bytes."""

    device: DeviceName
    device_reason: str
    precision: Precision
    precision_reason: str
    gpu_memory: int | None = None


def detect(device: Device, precision: Precision | None) -> Choice:
    """Call `choose` for this machine, after loading NVIDIA's libraries if CUDA may be used."""
    providers = onnxruntime.get_available_providers()
    if device == "cpu" or PROVIDERS["cuda"] not in providers:
        return choose(device, precision, providers, cuda.CudaCheck())
    with contextlib.redirect_stdout(io.StringIO()):  # it prints missing libraries; `cuda.check` reports them
        onnxruntime.preload_dlls()  # finds the libraries that requirements/runtime-gpu.txt installs as wheels
    return choose(device, precision, providers, cuda.check(cuda_version()))


def cuda_version() -> str:
    """Return the version of CUDA that this ONNX Runtime is built for."""
    return getattr(onnxruntime, "cuda_version", "") or CUDA_VERSION


def choose(device: Device, precision: Precision | None, providers: Sequence[str], cuda_check: cuda.CudaCheck) -> Choice:
    """Choose device and precision from the settings, ONNX Runtime's providers and the result of `cuda.check`.

    Raises:
        StartError: the settings require something that this machine or this ONNX Runtime does not support.
    """
    name, reason = _choose_device(device, precision, providers, cuda_check)
    if precision is None:
        default: Precision = "fp16" if name == "cuda" else "fp32"
        why = "the default on CUDA" if name == "cuda" else "the default on CPU: maximum accuracy"
        return Choice(name, reason, default, why, cuda_check.memory)
    if name == "cuda" and precision in INT8:
        raise StartError(
            f"QUANTIZATION={precision} with DEVICE=cuda: ONNX Runtime would run the int8 nodes on the CPU one by one. "
            "Set QUANTIZATION=fp16, or DEVICE=cpu"
        )
    slow = name == "cpu" and precision == "fp16"
    note = "set by QUANTIZATION; on CPU it is slower than fp32, which it only saves disk against" if slow else ""
    return Choice(name, reason, precision, note or "set by QUANTIZATION", cuda_check.memory)


def int8_warnings(variant: Variant, flags: Sequence[str]) -> Iterator[str]:
    """Yield warnings for an int8 graph on this CPU; `flags` come from `machine.cpu_flags`.

    Without VNNI or AMX, x86 adds pairs of 8-bit products in 16 bits, where those of older builds may saturate
    (onnxruntime issues 6004 and 17389).
    """
    if variant.precision not in INT8 or not flags or INT8_FLAGS & set(flags):
        return
    yield "this CPU has no 8-bit dot product (VNNI, AMX): int8 gains little speed here over fp32"
    if not EXACT_INT8 & set(variant.passes):
        yield "and sums of this file, of an older build, may saturate here: build the model again, or serve fp32"


def cuda_warnings(variant: Variant, device: DeviceName, on_cpu: int) -> Iterator[str]:
    """Yield warnings for a graph on a GPU; `on_cpu` is the number of its nodes that run on the CPU."""
    if device != "cuda":
        return
    if variant.device != "cuda":
        yield (
            f"this model has no {variant.precision} graph for CUDA: the one for every device runs, slower. Build it: "
            f'`make build-models BUILD_ARGS="--precisions fp32,{variant.precision}-cuda"`'
        )
    elif on_cpu:
        yield f"{on_cpu} nodes run on the CPU, which every run waits for; none should"


def _choose_device(
    device: Device, precision: Precision | None, providers: Sequence[str], cuda_check: cuda.CudaCheck
) -> tuple[DeviceName, str]:
    missing = _missing_for_cuda(providers, cuda_check)
    if device == "cpu":
        return "cpu", "set by DEVICE"
    if device == "cuda":
        if missing:
            raise StartError(f"DEVICE=cuda: {missing}; or set DEVICE=cpu")
        return "cuda", "set by DEVICE"
    if missing:
        return "cpu", f"no CUDA: {missing}"
    if precision in INT8:
        return "cpu", f"QUANTIZATION={precision} runs on CPU only"
    return "cuda", "a GPU and ONNX Runtime's CUDA provider are here"


def _missing_for_cuda(providers: Sequence[str], cuda_check: cuda.CudaCheck) -> str:
    if PROVIDERS["cuda"] not in providers:
        return f"this ONNX Runtime has no CUDA provider: `{cuda.INSTALL}`"
    return cuda_check.missing
