from pathlib import Path

import pytest

from server.device import choose, has_nvidia_device, int8_warnings
from server.errors import StartError
from server.manifest import Fidelity, Precision, Similarity, Variant
from server.settings import Device

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.mark.parametrize(
    ("device", "precision", "providers", "gpu", "expected"),
    [
        ("auto", None, [CPU], False, ("cpu", "fp32")),
        ("auto", None, [CUDA, CPU], False, ("cpu", "fp32")),
        ("auto", None, [CPU], True, ("cpu", "fp32")),
        ("auto", None, [CUDA, CPU], True, ("cuda", "fp16")),
        ("auto", "int8", [CUDA, CPU], True, ("cpu", "int8")),
        ("auto", "fp32", [CUDA, CPU], True, ("cuda", "fp32")),
        ("cpu", None, [CUDA, CPU], True, ("cpu", "fp32")),
        ("cpu", "fp16", [CPU], False, ("cpu", "fp16")),
        ("cuda", None, [CUDA, CPU], True, ("cuda", "fp16")),
    ],
)
def test_device_and_precision(
    device: Device, precision: Precision | None, providers: list[str], gpu: bool, expected: tuple[str, str]
) -> None:
    choice = choose(device, precision, providers, gpu)
    assert (choice.device, choice.precision) == expected
    assert choice.device_reason
    assert choice.precision_reason


@pytest.mark.parametrize(
    ("precision", "providers", "gpu", "remedy"),
    [
        (None, [CPU], True, "runtime-gpu.txt"),
        (None, [CUDA, CPU], False, "driver"),
        ("int8", [CUDA, CPU], True, "QUANTIZATION=fp16"),
        ("int8-static", [CUDA, CPU], True, "QUANTIZATION=fp16"),
    ],
)
def test_cuda_asked_for_and_not_possible_is_refused_with_what_to_do(
    precision: Precision | None, providers: list[str], gpu: bool, remedy: str
) -> None:
    with pytest.raises(StartError, match=remedy) as caught:
        choose("cuda", precision, providers, gpu)
    assert "DEVICE=cpu" in str(caught.value)


def test_fp16_on_cpu_is_noted_as_slow() -> None:
    assert "slower than fp32" in choose("cpu", "fp16", [CPU], False).precision_reason


def test_a_gpu_is_seen_by_its_device_node(tmp_path: Path) -> None:
    (tmp_path / "nvidiactl").touch()
    assert not has_nvidia_device(tmp_path)
    (tmp_path / "nvidia1").touch()
    assert has_nvidia_device(tmp_path)


@pytest.mark.parametrize(
    ("precision", "passes", "flags", "expected"),
    [
        ("int8", [], ["avx2", "avx512_vnni"], 0),
        ("int8", [], ["avx2"], 2),
        ("int8-static", ["reduce-range"], ["avx2"], 1),
        ("fp32", [], ["avx2"], 0),
        ("int8", [], [], 0),
    ],
)
def test_int8_without_vnni_is_warned_of(
    precision: Precision, passes: list[str], flags: list[str], expected: int
) -> None:
    same = Similarity(mean=1, p01=1, min=1)
    variant = Variant("m.onnx", 1, "0" * 64, precision, passes, Fidelity(same, same))
    assert len(list(int8_warnings(variant, flags))) == expected
