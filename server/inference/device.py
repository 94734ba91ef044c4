"""Which processor and which precision run, decided before anything is loaded, each with its reason."""

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
# Of an ONNX Runtime that does not tell: requirements/runtime-gpu.txt's is built for this one.
CUDA_VERSION = "13.0"
INT8: tuple[Precision, ...] = ("int8", "int8-static")


class Choice(NamedTuple):
    """Where and in which precision the model runs, each with its reason; `gpu_memory` is the GPU's, in bytes."""

    device: DeviceName
    device_reason: str
    precision: Precision
    precision_reason: str
    gpu_memory: int | None = None


def detect(device: Device, precision: Precision | None) -> Choice:
    """Choose for this machine: load NVIDIA's libraries where CUDA may be wanted, then `choose`."""
    providers = onnxruntime.get_available_providers()
    if device == "cpu" or PROVIDERS["cuda"] not in providers:
        return choose(device, precision, providers, cuda.Found())
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it misses; `cuda.look` says so in one message
        onnxruntime.preload_dlls()  # finds the libraries that requirements/runtime-gpu.txt installs as wheels
    return choose(device, precision, providers, cuda.look(cuda_version()))


def cuda_version() -> str:
    """The version of CUDA that this ONNX Runtime is built for."""
    return getattr(onnxruntime, "cuda_version", "") or CUDA_VERSION


def choose(device: Device, precision: Precision | None, providers: Sequence[str], found: cuda.Found) -> Choice:
    """Choose device and precision from the settings, the providers of this ONNX Runtime and what CUDA needs.

    Raises:
        StartError: the settings ask for something this machine or this ONNX Runtime cannot do.
    """
    name, reason = _choose_device(device, precision, providers, found)
    if precision is None:
        default: Precision = "fp16" if name == "cuda" else "fp32"
        why = "the default on CUDA" if name == "cuda" else "the default on CPU: maximum accuracy"
        return Choice(name, reason, default, why, found.memory)
    if name == "cuda" and precision in INT8:
        raise StartError(
            f"QUANTIZATION={precision} with DEVICE=cuda: ONNX Runtime would run the int8 nodes on the CPU one by one. "
            "Set QUANTIZATION=fp16, or DEVICE=cpu"
        )
    slow = name == "cpu" and precision == "fp16"
    note = "set by QUANTIZATION; on CPU it is slower than fp32, which it only saves disk against" if slow else ""
    return Choice(name, reason, precision, note or "set by QUANTIZATION", found.memory)


def int8_warnings(variant: Variant, flags: Sequence[str]) -> Iterator[str]:
    """What a user of an int8 graph should know of this CPU; `flags` as `machine.cpu_flags` gives them.

    Without VNNI or AMX, x86 adds pairs of 8-bit products in 16 bits, where full-range weights can saturate
    (onnxruntime issues 6004 and 17389). Weights of 7 bits cannot.
    """
    if variant.precision not in INT8 or not flags or INT8_FLAGS & set(flags):
        return
    yield "this CPU has no 8-bit dot product (VNNI, AMX): int8 gains little speed here over fp32"
    if "reduce-range" not in variant.passes:
        yield "and its sums may saturate: build with `make build-models BUILD_ARGS=--reduce-range`, or serve fp32"


def cuda_warnings(variant: Variant, device: DeviceName, on_cpu: int) -> Iterator[str]:
    """What a user of a GPU should know of this graph; `on_cpu` of its nodes run on the CPU."""
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
    device: Device, precision: Precision | None, providers: Sequence[str], found: cuda.Found
) -> tuple[DeviceName, str]:
    missing = _missing_for_cuda(providers, found)
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


def _missing_for_cuda(providers: Sequence[str], found: cuda.Found) -> str:
    if PROVIDERS["cuda"] not in providers:
        return f"this ONNX Runtime has no CUDA provider: `{cuda.INSTALL}`"
    return found.missing
