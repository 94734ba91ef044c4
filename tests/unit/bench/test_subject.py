from pathlib import Path

import pytest

from bench import compare
from bench.subject import BenchSubject, open_subject
from server.inference import device
from server.inference.device import Choice
from tests.unit.server import tiny

GPU = Choice("cuda", "a GPU", "fp16", "the default", 2**30)


@pytest.fixture
def with_cuda(models_dir: Path) -> BenchSubject:
    """Return a model that also has a graph for CUDA."""
    fields = tiny.describe(models_dir, tiny.NAME)
    variants: dict[str, dict[str, object]] = fields["variants"]  # type: ignore[assignment]
    own = variants["fp32"] | {"device": "cuda"}
    tiny.write_model(models_dir, changes={"variants": variants | {"fp32-cuda": own}})
    return open_subject(models_dir, tiny.NAME, threads=1)


def test_a_graph_for_cuda_is_loaded_there_in_its_precision(with_cuda: BenchSubject) -> None:
    assert (with_cuda.precisions, with_cuda.on_cuda) == (["fp32"], ["fp32-cuda"])
    task = with_cuda.task("fp32-cuda")
    assert (task.precision, task.device) == ("fp32", "cuda")
    assert with_cuda.task("fp32").device == "cpu"


def test_peers_are_told_of_layers_after_pooling(models_dir: Path) -> None:
    assert not open_subject(models_dir, tiny.NAME, threads=1).task("fp32").layers
    variants: dict[str, dict[str, object]] = tiny.describe(models_dir, tiny.NAME)["variants"]  # type: ignore[assignment]
    own = variants["fp32"] | {"passes": ["pool-mean-normalize", "add-layers"]}
    tiny.write_model(models_dir, changes={"variants": {"fp32": own}})
    assert open_subject(models_dir, tiny.NAME, threads=1).task("fp32").layers


def test_graphs_for_cuda_are_compared_where_a_gpu_is(with_cuda: BenchSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(compare._variants(with_cuda)) == ["fp32"]
    monkeypatch.setattr(device, "detect", lambda *_: GPU)
    assert list(compare._variants(with_cuda)) == ["fp32", "fp32-cuda"]
