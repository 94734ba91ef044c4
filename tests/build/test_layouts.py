"""Folders as they are found in the world: each is served as sentence-transformers has it, or refused with a way out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import AutoModel, BertForMaskedLM

from build.__main__ import main
from build.floors import FP32
from tests import tiny
from tests.build.conftest import Refused
from tests.build.folders import (
    ASKED,
    Change,
    build,
    cast,
    described,
    edit,
    edit_modules,
    least_cosine,
    move_transformer,
    same_as_source,
    served,
    source,
)

shows = pytest.mark.shows


def _modules(folder: Path, *paths: str) -> None:
    def change(entries: list[dict[str, Any]]) -> None:
        for entry, path in zip(entries, paths, strict=True):
            entry["path"] = path

    edit_modules(folder, change)


def _other_names(folder: Path) -> None:
    (folder / "1_Pooling").rename(folder / "9 how it pools ü")
    _modules(folder, "", "9 how it pools ü", "0_unit")


def _numbered_backwards(folder: Path) -> None:
    edit_modules(folder, lambda entries: [entry.update(idx=-entry["idx"]) for entry in entries])


def _shards(folder: Path) -> None:
    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def _cast(folder: Path, dtype: torch.dtype) -> None:
    cast(folder, dtype)
    edit(folder, "config.json", dtype=str(dtype).removeprefix("torch."))


def _of_another_head(folder: Path) -> None:
    torch.manual_seed(5)
    BertForMaskedLM(AutoModel.from_pretrained(folder).config).save_pretrained(folder)
    assert all(name.startswith(("bert.", "cls.")) for name in load_file(folder / "model.safetensors"))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(move_transformer, marks=shows("the Transformer in a folder of its own (`0_Transformer`)")),
        pytest.param(_other_names, marks=shows("modules under other paths or numbers")),
        _numbered_backwards,
        pytest.param(_shards, marks=shows("weights in several shards")),
        pytest.param(lambda folder: _cast(folder, torch.bfloat16), marks=shows("weights in bf16 or fp16")),
        lambda folder: _cast(folder, torch.float16),
        pytest.param(_of_another_head, marks=shows("weights saved with a head (`bert.` before their names)")),
    ],
    ids=["0_Transformer", "other-names", "numbered-backwards", "shards", "bf16", "fp16", "prefix"],
)
def test_it_is_served_as_sentence_transformers_has_it(folder: Path, tmp_path: Path, change: Change) -> None:
    change(folder)
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")


@shows("the Hub's cache (`models--OWNER--NAME/snapshots/COMMIT`, links to `blobs`)")
def test_the_hub_s_cache(folder: Path, tmp_path: Path) -> None:
    cached = tmp_path / "hub/models--Owner--Tiny-v1/snapshots/0123456789abcdef0123456789abcdef01234567"
    blobs = tmp_path / "hub/models--Owner--Tiny-v1/blobs"
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        link = cached / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blobs / str(number))
        link.symlink_to(blobs / str(number))
    assert build(cached, tmp_path / "models") == 0
    same_as_source(cached, tmp_path / "models", "Tiny-v1")
    assert described(tmp_path / "models", "Tiny-v1").source.id == "Owner/Tiny-v1"


@shows("names with spaces and Unicode")
@pytest.mark.parametrize(("name", "served_as"), [("my model (v2) ü", "my-model-v2"), ("模型", "model")])
def test_a_name_with_spaces_and_unicode(folder: Path, tmp_path: Path, name: str, served_as: str) -> None:
    renamed = folder.rename(folder.with_name(name))
    assert build(renamed, tmp_path / "models") == 0
    same_as_source(renamed, tmp_path / "models", served_as)


@shows("no `modules.json` (the transformers library alone)")
@pytest.mark.parametrize("pooling", ["cls", "mean+max"])
def test_a_folder_of_transformers_alone_is_pooled_as_it_is_named(tmp_path: Path, pooling: str) -> None:
    folder, models = tiny.snapshot(tmp_path / "source/tiny"), tmp_path / "models"
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    edit(folder, "tokenizer_config.json", model_max_length=48)
    assert build(folder, models, "--precisions", "fp32", "--pooling", pooling) == 0
    encoder = source(folder)[0]
    own = modules.Pooling(encoder.get_embedding_dimension(), pooling.split("+"))
    assert least_cosine(served(models), SentenceTransformer(modules=[encoder, own], device="cpu").encode(ASKED)) >= FP32
    made = described(models)
    assert (made.pooling, made.max_tokens, made.source_normalizes) == (pooling, 48, False)
    assert made.notes[0] == f"the pooling, {pooling}, was named for the build: the model's files say none"


def test_a_folder_without_modules_is_refused_unless_its_pooling_is_named(folder: Path, refused: Refused) -> None:
    (folder / "modules.json").unlink()
    assert 'BUILD_ARGS="--pooling cls"' in refused("--model", folder)
    assert "has config_sentence_transformers.json and no modules.json" in refused("--model", folder, "--pooling", "cls")


def test_a_folder_that_says_how_it_pools_is_not_told_otherwise(folder: Path, refused: Refused) -> None:
    assert "build it without --pooling" in refused("--model", folder, "--pooling", "mean")


def test_a_pooling_that_there_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--model", str(folder), "--pooling", "sum"])
    assert "'sum': choose from cls, max, mean" in capsys.readouterr().err


@shows("weights under names that transformers does not expect")
def test_weights_that_transformers_would_initialize_at_random(folder: Path, refused: Refused) -> None:
    weights = load_file(folder / "model.safetensors")
    other = {name.replace("layer.1.", "layers.1."): one for name, one in weights.items()}
    save_file(other, folder / "model.safetensors", {"format": "pt"})
    said = refused("--model", folder, "--precisions", "fp32")
    assert "16 of the encoder's weights are in none of the files" in said
    assert "such as encoder.layer.1.attention.output.LayerNorm.bias" in said


@shows("numbers that are not finite in fp32")
def test_weights_that_are_not_finite(folder: Path, refused: Refused) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.dense.weight"][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "numbers that are not finite" in refused("--model", folder, "--precisions", "fp32")


def test_a_transformer_s_folder_without_weights(folder: Path, refused: Refused) -> None:
    move_transformer(folder)
    (folder / "0_Transformer/model.safetensors").rename(folder / "model.safetensors")
    assert "0_Transformer has no weights" in refused("--model", folder)


@shows("JSON that begins with a byte order mark")
@pytest.mark.parametrize(
    "name",
    [
        "modules.json",
        "1_Pooling/config.json",
        "config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "tokenizer_config.json",
    ],
)
def test_json_with_a_byte_order_mark(folder: Path, refused: Refused, name: str) -> None:
    """sentence-transformers cannot read it either."""
    (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert f"{name} begins with a byte order mark; save it as UTF-8 without one" in refused("--model", folder)
