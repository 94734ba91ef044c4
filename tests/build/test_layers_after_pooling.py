"""Modules after pooling are served as sentence-transformers computes them, in the order of modules.json."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Normalize
from torch import nn

from build.passes import UnsupportedGraphError
from build.pooling import Pooling
from server.model.manifest import PACKED
from tests.build.conftest import Refused
from tests.build.folders import build, described, edit, edit_modules, same_as_source, source

shows = pytest.mark.shows
ACTIVATIONS = [nn.Identity(), nn.Tanh(), nn.ReLU(), nn.Sigmoid(), nn.GELU(), nn.SiLU()]


def dense(into: int, out: int, activation: nn.Module, *, bias: bool = True) -> Dense:
    """A Dense module of random weights that are large enough to show."""
    made = Dense(into, out, bias=bias, activation_function=activation)
    nn.init.normal_(made.linear.weight, std=0.5)
    return made


def scale(width: int) -> LayerNorm:
    made = LayerNorm(width)
    nn.init.normal_(made.norm.weight, mean=1, std=0.5)
    nn.init.normal_(made.norm.bias, std=0.5)
    return made


def with_modules(snapshot: Path, folder: Path, modules: Sequence[nn.Module]) -> Path:
    """The tiny model with other modules after its pooling."""
    torch.manual_seed(3)
    loaded = source(snapshot)
    SentenceTransformer(modules=[loaded[0], loaded[1], *modules], prompts=loaded.prompts).save(str(folder))
    return folder


@shows("Dense")
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda activation: type(activation).__name__)
def test_dense_with_each_activation(snapshot: Path, tmp_path: Path, activation: nn.Module) -> None:
    folder = with_modules(snapshot, tmp_path / "source/tiny", [dense(32, 24, activation), Normalize()])
    models = tmp_path / "models"
    assert build(folder, models, "--precisions", "fp32,fp16,int8,int8-static,fp16-cuda") == 0
    same_as_source(folder, models)
    made = described(models)
    assert (made.dimension, made.source_normalizes) == (24, True)
    assert set(made.variants) == {"fp32", "fp16", "int8", "int8-static", "fp16-cuda"}
    assert PACKED in made.variants["fp32"].passes


@shows("LayerNorm")
@shows("Normalize")
def test_any_order_and_no_bias(snapshot: Path, tmp_path: Path) -> None:
    modules = [
        Normalize(),
        dense(32, 48, nn.Tanh(), bias=False),
        scale(48),
        Dropout(0.5),
        dense(48, 16, nn.GELU()),
        Normalize(),
        dense(16, 20, nn.GELU()),
    ]
    folder, models = with_modules(snapshot, tmp_path / "source/tiny", modules), tmp_path / "models"
    assert build(folder, models, "--precisions", "fp32,fp16,int8,fp32-cuda") == 0
    same_as_source(folder, models)
    made = described(models)
    assert (made.dimension, made.source_normalizes) == (20, False)
    assert PACKED in made.variants["fp32"].passes


@shows("Dropout")
def test_dropout_and_a_last_normalisation_leave_the_graph_as_it_is(snapshot: Path, tmp_path: Path) -> None:
    folder, models = (
        with_modules(snapshot, tmp_path / "source/tiny", [Dropout(0.1), Normalize(), Dropout(0.9)]),
        tmp_path / "models",
    )
    assert build(folder, models) == 0
    same_as_source(folder, models)
    made = described(models)
    assert made.source_normalizes
    assert "add-layers" not in made.variants["fp32"].passes


def _not_packed(_: Pooling) -> NoReturn:
    raise UnsupportedGraphError("as of another architecture")


def test_a_dense_layer_on_modes_side_by_side_of_a_graph_that_is_not_packed(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("build.variants.packing_passes", _not_packed)
    copy = Path(shutil.copytree(snapshot, tmp_path / "copy"))
    edit(copy, "1_Pooling/config.json", pooling_mode=["max", "cls"])
    folder, models = with_modules(copy, tmp_path / "source/tiny", [dense(64, 24, nn.Tanh())]), tmp_path / "models"
    assert build(folder, models, "--precisions", "fp32,int8") == 0
    same_as_source(folder, models)
    assert not described(models).variants["fp32"].packed


def _module(folder: Path, kind: str) -> None:
    edit_modules(folder, lambda entries: entries[2].update(type=f"sentence_transformers.models.{kind}"))


@pytest.mark.parametrize("kind", ["WordWeights", "CNN", "LSTM", "WeightedLayerPooling", "Router", "Nonesuch"])
def test_a_module_that_is_not_known_is_refused_by_name(
    snapshot: Path, tmp_path: Path, refused: Refused, kind: str
) -> None:
    folder = with_modules(snapshot, tmp_path / "source/tiny", [dense(32, 24, nn.Tanh())])
    _module(folder, kind)
    assert f"has module {kind}; supported are" in refused("--model", folder)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"activation_function": "torch.nn.modules.activation.Softplus"}, "'activation_function' is not one of"),
        ({"activation_function": "own.Tanh"}, "'activation_function' is not one of"),
        ({"module_input_name": "token_embeddings"}, "'module_input_name' works on other than the text's vector"),
        ({"out_features": 25}, "and its config.json says"),
        ({"surprise": 1}, "'surprise', which is no setting known here"),
    ],
)
def test_settings_of_a_dense_layer_that_are_not_carried(
    snapshot: Path, tmp_path: Path, refused: Refused, settings: dict[str, object], said: str
) -> None:
    folder = with_modules(snapshot, tmp_path / "source/tiny", [dense(32, 24, nn.Tanh())])
    edit(folder, "2_Dense/config.json", **settings)
    assert said in refused("--model", folder)


def test_weights_of_a_dense_layer_as_pickle(snapshot: Path, tmp_path: Path, refused: Refused) -> None:
    folder = with_modules(snapshot, tmp_path / "source/tiny", [dense(32, 24, nn.Tanh())])
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")
    assert "2_Dense/model.safetensors is missing; weights as pickle" in refused("--model", folder)
