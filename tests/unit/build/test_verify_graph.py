"""A graph is compared with the weights beside it, whatever names and layouts the exporter gave them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from build import source_graph, verify_graph
from build.errors import BuildError
from build.sources import folder
from tests.unit.build.graphs import ARCHITECTURES, Exported, with_export


@pytest.fixture
def place(tmp_path: Path, exported: Exported) -> Path:
    """A copy of the folder of a tiny BERT, with its export."""
    return with_export(tmp_path / "copy", exported)


def verify(place: Path) -> int | None:
    snapshot = folder.read(place, "onnx")
    return verify_graph.verify(source_graph.load(snapshot), snapshot)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_weight_of_the_layers_is_found(tmp_path: Path, exported: Exported, architecture: str) -> None:
    place = with_export(tmp_path / "copy", exported, architecture)
    layers = [name for name in load_file(place / "model.safetensors") if "layer" in name]
    assert layers
    assert (verify(place) or 0) > len(layers)


def test_names_may_have_a_head_s_prefix(place: Path) -> None:
    held = load_file(place / "model.safetensors")
    save_file({f"bert.{name}": tensor for name, tensor in held.items()}, place / "model.safetensors")
    assert verify(place)


@pytest.mark.parametrize("name", ["embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.weight"])
def test_one_other_number_is_refused(place: Path, name: str) -> None:
    held = load_file(place / "model.safetensors")
    held[name][0, 0] += 1e-6
    save_file(held, place / "model.safetensors")
    with pytest.raises(BuildError, match=f"(is not the '{name}'|does not hold 1 of the weights)"):
        verify(place)


@pytest.mark.parametrize(
    "name", ["encoder.layer.2.output.dense.weight", "encoder.albert_layer_groups.1.albert_layers.0.ffn.weight"]
)
def test_a_graph_of_fewer_layers_is_refused(place: Path, name: str) -> None:
    held = load_file(place / "model.safetensors")
    save_file(held | {name: torch.ones(32, 64)}, place / "model.safetensors")
    with pytest.raises(BuildError, match=rf"does not hold 1 of the weights .* '{name}'"):
        verify(place)


def test_without_safetensors_there_is_nothing_to_compare_with(place: Path) -> None:
    (place / "model.safetensors").unlink()
    assert verify(place) is None


def test_damaged_safetensors_are_refused(place: Path) -> None:
    path = place / "model.safetensors"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(BuildError, match="cannot be read"):
        verify(place)
