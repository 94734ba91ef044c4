import msgspec
import pytest

from server.errors import StartError
from server.inference.cuda import CudaCheck
from server.inference.device import choose, cuda_warnings, int8_warnings
from server.model.manifest import Fidelity, Precision, Similarity, Variant
from server.settings import Device

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
GPU, NO_GPU = CudaCheck(memory=2**30), CudaCheck("the driver shows no GPU")
SAME = Similarity(mean=1, p01=1, min=1)
VARIANT = Variant("m.onnx", 1, "0" * 64, "fp16", [], Fidelity(SAME, SAME))


@pytest.mark.parametrize(
    ("device", "precision", "providers", "gpu", "expected"),
    [
        ("auto", None, [CPU], NO_GPU, ("cpu", "fp32")),
        ("auto", None, [CUDA, CPU], NO_GPU, ("cpu", "fp32")),
        ("auto", None, [CPU], GPU, ("cpu", "fp32")),
        ("auto", None, [CUDA, CPU], GPU, ("cuda", "fp16")),
        ("auto", "int8", [CUDA, CPU], GPU, ("cpu", "int8")),
        ("auto", "fp32", [CUDA, CPU], GPU, ("cuda", "fp32")),
        ("cpu", None, [CUDA, CPU], GPU, ("cpu", "fp32")),
        ("cpu", "fp16", [CPU], NO_GPU, ("cpu", "fp16")),
        ("cuda", None, [CUDA, CPU], GPU, ("cuda", "fp16")),
    ],
)
def test_device_and_precision(
    device: Device, precision: Precision | None, providers: list[str], gpu: CudaCheck, expected: tuple[str, str]
) -> None:
    choice = choose(device, precision, providers, gpu)
    assert (choice.device, choice.precision) == expected
    assert choice.device_reason
    assert choice.precision_reason


@pytest.mark.parametrize(
    ("precision", "providers", "gpu", "remedy"),
    [
        (None, [CPU], GPU, "runtime-gpu.txt"),
        (None, [CUDA, CPU], NO_GPU, "the driver shows no GPU"),
        ("int8", [CUDA, CPU], GPU, "QUANTIZATION=fp16"),
        ("int8-static", [CUDA, CPU], GPU, "QUANTIZATION=fp16"),
    ],
)
def test_cuda_asked_for_and_not_possible_is_refused_with_what_to_do(
    precision: Precision | None, providers: list[str], gpu: CudaCheck, remedy: str
) -> None:
    with pytest.raises(StartError, match=remedy) as caught:
        choose("cuda", precision, providers, gpu)
    assert "DEVICE=cpu" in str(caught.value)


def test_fp16_on_cpu_is_noted_as_slow() -> None:
    assert "slower than fp32" in choose("cpu", "fp16", [CPU], NO_GPU).precision_reason


def test_the_gpu_s_memory_goes_with_the_choice() -> None:
    assert choose("cuda", None, [CUDA, CPU], GPU).gpu_memory == 2**30


def test_a_graph_that_is_not_cuda_s_own_is_warned_of_with_the_command_that_builds_it() -> None:
    (warning,) = cuda_warnings(VARIANT, "cuda", 40)
    assert "--precisions fp32,fp16-cuda" in warning
    assert not list(cuda_warnings(VARIANT, "cpu", 0))


def test_nodes_that_the_cpu_computes_for_a_gpu_are_warned_of() -> None:
    own = replace_device(VARIANT)
    assert not list(cuda_warnings(own, "cuda", 0))
    assert list(cuda_warnings(own, "cuda", 3)) == ["3 nodes run on the CPU, which every run waits for; none should"]


def replace_device(variant: Variant) -> Variant:
    """Return the variant for CUDA only."""
    return msgspec.structs.replace(variant, device="cuda")


@pytest.mark.parametrize(
    ("precision", "passes", "flags", "expected"),
    [
        ("int8", [], ["avx2", "avx512_vnni"], 0),
        ("int8", [], ["avx2"], 2),
        ("int8-static", ["int8-static", "int8-pairs"], ["avx2"], 1),
        ("int8", ["int8-batch", "reduce-range"], ["avx2"], 1),
        ("fp32", [], ["avx2"], 0),
        ("int8", [], [], 0),
    ],
)
def test_int8_without_vnni_is_warned_of(
    precision: Precision, passes: list[str], flags: list[str], expected: int
) -> None:
    variant = msgspec.structs.replace(VARIANT, precision=precision, passes=passes)
    assert len(list(int8_warnings(variant, flags))) == expected
