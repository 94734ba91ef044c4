"""Which processor and which precision run, decided before anything is loaded, each with its reason."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import onnxruntime

from server.errors import StartError
from server.manifest import Precision, Variant
from server.settings import Device

DeviceName = Literal["cpu", "cuda"]
PROVIDERS: dict[DeviceName, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
INT8_FLAGS = {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}
INT8: tuple[Precision, ...] = ("int8", "int8-static")


class Choice(NamedTuple):
    """Where and in which precision the model runs, each with its reason."""

    device: DeviceName
    device_reason: str
    precision: Precision
    precision_reason: str


def detect(device: Device, precision: Precision | None) -> Choice:
    """Choose for this machine: load NVIDIA's libraries where CUDA may be wanted, then `choose`."""
    providers = onnxruntime.get_available_providers()
    if device != "cpu" and PROVIDERS["cuda"] in providers:
        onnxruntime.preload_dlls()  # finds the libraries that requirements/runtime-gpu.txt installs as wheels
    return choose(device, precision, providers, has_nvidia_device())


def choose(device: Device, precision: Precision | None, providers: Sequence[str], gpu: bool) -> Choice:
    """Choose device and precision from the settings, the providers of this ONNX Runtime and whether a GPU is there.

    Raises:
        StartError: the settings ask for something this machine or this ONNX Runtime cannot do.
    """
    name, reason = _choose_device(device, precision, providers, gpu)
    if precision is None:
        default: Precision = "fp16" if name == "cuda" else "fp32"
        why = "the default on CUDA" if name == "cuda" else "the default on CPU: maximum accuracy"
        return Choice(name, reason, default, why)
    if name == "cuda" and precision in INT8:
        raise StartError(
            f"QUANTIZATION={precision} with DEVICE=cuda: ONNX Runtime would run the int8 nodes on the CPU one by one. "
            "Set QUANTIZATION=fp16, or DEVICE=cpu"
        )
    slow = name == "cpu" and precision == "fp16"
    note = "set by QUANTIZATION; on CPU it is slower than fp32, which it only saves disk against" if slow else ""
    return Choice(name, reason, precision, note or "set by QUANTIZATION")


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


def has_nvidia_device(dev: Path = Path("/dev")) -> bool:
    """Tell whether the kernel offers an NVIDIA GPU to this process: /dev/nvidia0, 1, ... or WSL's /dev/dxg."""
    return any(dev.glob("nvidia[0-9]*")) or (dev / "dxg").exists()


def _choose_device(
    device: Device, precision: Precision | None, providers: Sequence[str], gpu: bool
) -> tuple[DeviceName, str]:
    missing = _missing_for_cuda(providers, gpu)
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


def _missing_for_cuda(providers: Sequence[str], gpu: bool) -> str:
    if PROVIDERS["cuda"] not in providers:
        return "this ONNX Runtime has no CUDA provider; install requirements/runtime-gpu.txt for it"
    if not gpu:
        return "no NVIDIA GPU is visible; check the driver, and in a container that the GPU is passed in"
    return ""
