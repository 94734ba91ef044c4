"""Builds of a model's own ONNX file: equal to builds of its weights, and without torch."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from build.exporters.optimum_onnx import run_optimum
from build.sources import folder as folders_on_disk
from server.model.manifest import Manifest
from tests.build import fake_hub, folders
from tests.build.conftest import ROOT, Build, Refused, environment
from tests.unit.build import legacy

TORCHLESS = ROOT / ".venv-build-onnx" / "bin" / "python"
ALL = ("--precisions", "fp16,int8,int8-static,fp16-cuda")


@pytest.fixture
def graph(folder: Path) -> Path:
    """A tiny model's folder with optimum's export as onnx/model.onnx; the path of the latter."""
    run_optimum(folders_on_disk.read(folder), folder / "export")
    (folder / "onnx").mkdir()
    path = (folder / "export" / "model.onnx").rename(folder / "onnx" / "model.onnx")
    for left in (folder / "export").iterdir():
        left.unlink()
    return path


def graphs(made: Manifest) -> dict[str, tuple[str, list[str]]]:
    return {name: (variant.sha256, variant.passes) for name, variant in made.variants.items()}


def test_every_variant_is_the_same_file_as_from_the_weights(graph: Path, tmp_path: Path) -> None:
    """Built in the environment without torch, by the same passes."""
    if not TORCHLESS.exists():
        pytest.skip(".venv-build-onnx is not there: make .venv-build-onnx/ready")
    source = graph.parents[1]
    assert folders.build(source, tmp_path / "weights", *ALL) == 0
    texts = str(tmp_path / "texts.jsonl")
    places = ("--models-dir", str(tmp_path / "graph"), "--cache", str(tmp_path / "cache"), "--calibrate", texts)
    command: list[str | Path] = [TORCHLESS, "-m", "build", "--model", source, "--texts", texts, *places, *ALL]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(FROM="onnx"), capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    of_weights, of_graph = (folders.described(tmp_path / place) for place in ("weights", "graph"))
    assert graphs(of_graph) == graphs(of_weights)
    assert of_graph.tokenizer.sha256 == of_weights.tokenizer.sha256
    assert "torch" not in of_graph.tools
    assert of_graph.source.files.keys() - of_weights.source.files.keys() == {"onnx/model.onnx"}
    (note,) = of_graph.notes
    assert note.startswith("built from the model's own onnx/model.onnx, without torch")
    assert "weights that it takes from the safetensors beside it" in note
    card = (tmp_path / "graph" / "tiny.md").read_text("utf-8")
    assert "The source is onnx/model.onnx, run by ONNX Runtime in fp32, not by sentence-transformers." in card


@pytest.mark.parametrize("files", [1, 2])
def test_an_old_graph_without_weights_beside_it(graph: Path, tmp_path: Path, files: int) -> None:
    source = graph.parents[1]
    legacy.export(source, 11)
    if files > 1:
        onnx.save_model(onnx.load(graph), graph, save_as_external_data=True, location="model.onnx_data")
    expected = folders.source(source).encode(folders.ASKED)
    (source / "model.safetensors").unlink()
    assert folders.build(source, tmp_path / "models", "--from", "onnx", "--precisions", "int8") == 0
    made = folders.described(tmp_path / "models")
    assert made.variants["int8"].passes[0] == "fuse-layer-norm"
    assert made.variants["int8"].packed
    assert "no safetensors beside it" in made.notes[0]
    assert folders.least_cosine(folders.served(tmp_path / "models"), expected) >= 0.99999


def test_from_the_hub_the_graph_is_fetched_too(build: Build, graph: Path, tmp_path: Path) -> None:
    with fake_hub.serve(graph.parents[1]) as hub:
        done = build("--model", "owner/tiny", "--precisions", "fp32", FROM="onnx", HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert "onnx/model.onnx" in hub.fetched
    assert folders.described(tmp_path / "models").source.kind == "hub"


def _other_weights(graph: Path) -> None:
    model = onnx.load(graph)
    table = onnx.numpy_helper.to_array(model.graph.initializer[0]).copy()
    table[0, 0] += 1
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(table, model.graph.initializer[0].name))
    onnx.save(model, graph)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda graph: graph.unlink(), "has no onnx/model.onnx"),
        (lambda graph: graph.write_bytes(graph.read_bytes()[:9000]), "not all of it is there"),
        (_other_weights, "was made of other weights"),
    ],
)
def test_no_graph_to_build_from(refused: Refused, graph: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(graph)
    said = refused("--model", graph.parents[1], "--from", "onnx")
    assert message in said
    assert "Traceback" not in said


def test_the_embedded_default_has_no_graph(refused: Refused) -> None:
    assert "comes as weights alone" in refused("--model", "all-MiniLM-L6-v2", "--from", "onnx")
