from types import SimpleNamespace

import onnxruntime
import pytest

from server.errors import StartError
from server.inference.session import Placement, cuda_options, open_session, placement
from server.model.artifact import Artifact


def test_cuda_s_options_bound_its_arena_and_keep_fp32_exact() -> None:
    options = cuda_options(2**30)
    assert options["gpu_mem_limit"] == str(2**30)
    assert options["arena_extend_strategy"] == "kSameAsRequested"
    assert options["use_tf32"] == "0"
    assert "gpu_mem_limit" not in cuda_options(None)


def test_placement_counts_nodes_by_provider() -> None:
    parts = [SimpleNamespace(ep_name=name, get_nodes=lambda: [1, 2]) for name in ("CPUExecutionProvider", "Other") * 2]
    placed = placement(SimpleNamespace(get_provider_graph_assignment_info=lambda: parts))
    assert placed == Placement({"CPUExecutionProvider": 4, "Other": 4})
    assert (placed.on_cpu, str(placed)) == (4, "4 on CPUExecutionProvider, 4 on Other")


def test_a_session_that_recorded_nothing_tells_so(artifact: Artifact) -> None:
    assert str(placement(open_session(artifact.model_path, "cpu", 1, {}, packed=False))) == "unknown"


def test_a_real_session_tells_its_placement(artifact: Artifact) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(artifact.model_path, options, providers=["CPUExecutionProvider"])
    assert placement(session).on_cpu > 0


def test_a_gpu_without_room_for_the_model_is_refused_with_what_to_do(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);")

    monkeypatch.setattr(onnxruntime, "InferenceSession", full)
    with pytest.raises(StartError, match=r"could not be loaded on cuda: .*nvidia-smi.*GPU_MEMORY_MB"):
        open_session(artifact.model_path, "cuda", 1, cuda_options(None), packed=False)
