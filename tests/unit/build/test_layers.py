"""Layers after pooling are read with their weights, whose shapes must be those of the settings."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from build import layers
from build.errors import BuildError
from build.layers import DenseLayer, UnitLayer
from build.modules import Module
from build.sources.snapshot import Snapshot

DENSE = {"in_features": 4, "out_features": 2}


def read(folder: Path, config: dict[str, object], kind: str = "Dense", **weights: torch.Tensor) -> layers.Layer:
    own = folder / "2_Own"
    own.mkdir()
    (own / "config.json").write_text(json.dumps(config))
    if weights:
        save_file({name.replace("_", "."): tensor for name, tensor in weights.items()}, own / "model.safetensors")
    files = {path.relative_to(folder).as_posix(): "" for path in own.iterdir()}
    (found,) = layers.read(Snapshot(folder, "folder", "tiny", "r", "mit", files), (Module(kind, "2_Own"),))
    return found


def test_dense_weights_in_bf16_become_fp32_and_the_activation_is_tanh_unless_said(tmp_path: Path) -> None:
    weight = torch.arange(8).reshape(2, 4).to(torch.bfloat16)
    found = read(tmp_path, {**DENSE, "bias": False}, linear_weight=weight)
    assert isinstance(found, DenseLayer)
    assert (found.weight.tolist(), found.bias, found.activation) == ([[0, 1, 2, 3], [4, 5, 6, 7]], None, "Tanh")


def test_normalisation_needs_no_file(tmp_path: Path) -> None:
    snapshot = Snapshot(tmp_path, "folder", "tiny", "r", "mit", {})
    assert layers.read(snapshot, (Module("Normalize", "2_Normalize"),)) == (UnitLayer(),)


def test_refuses_weights_of_another_shape_or_too_few(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"holds .*'linear\.weight': \(2, 3\).* and its config\.json says"):
        read(tmp_path, {**DENSE, "bias": False}, linear_weight=torch.zeros(2, 3))


def test_refuses_missing_weights_and_torn_ones(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is missing; weights as pickle"):
        read(tmp_path, {"dimension": 2}, "LayerNorm")
    (tmp_path / "2_Own/model.safetensors").write_bytes(b"torn")
    files = {"2_Own/config.json": "", "2_Own/model.safetensors": ""}
    with pytest.raises(BuildError, match="cannot be read"):
        layers.read(Snapshot(tmp_path, "folder", "tiny", "r", "mit", files), (Module("LayerNorm", "2_Own"),))


def test_refuses_an_activation_that_the_graph_has_not(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"'activation_function' is not one of torch\.nn's Identity, Tanh"):
        read(tmp_path, {**DENSE, "activation_function": "torch.nn.modules.activation.Mish"})
