"""Weights are found missing or damaged by the headers of their files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from build.errors import BuildError
from build.sources import folder, weight_files

INDEX = "model.safetensors.index.json"


def save(path: Path, *names: str) -> None:
    save_file({name: np.ones(8, np.float32) for name in names}, path)


@pytest.fixture
def single(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    save(tmp_path / "model.safetensors", "a", "b")
    return tmp_path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    save(tmp_path / "model-1.safetensors", "a")
    save(tmp_path / "model-2.safetensors", "b", "c")
    held = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": held}))
    return tmp_path


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_whole_weights(single: Path) -> None:
    weight_files.check(folder.read(single))


def test_whole_shards(sharded: Path) -> None:
    weight_files.check(folder.read(sharded))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), r"has no weights: expected model\.safetensors"),
        (lambda path: path.rename(path.with_name("other.safetensors")), r"has no weights: expected model\.safetensors"),
        (lambda path: path.rename(path.with_name("pytorch_model.bin")), r"only as pickle \(pytorch_model\.bin\).*safe"),
        (lambda path: _cut(path, 0), "damaged or cut short"),
        (lambda path: _cut(path, -1), "damaged or cut short"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "damaged or cut short"),
        (save, "holds no weights"),
    ],
    ids=["missing", "other-name", "pickle", "empty", "cut", "lfs-pointer", "no-tensors"],
)
def test_damaged_weights(single: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(single / "model.safetensors")
    with pytest.raises(BuildError, match=said):
        weight_files.check(folder.read(single))


def test_damaged_shards_are_all_told(sharded: Path) -> None:
    (sharded / "model-1.safetensors").unlink()
    _cut(sharded / "model-2.safetensors", 20)
    with pytest.raises(BuildError) as caught:
        weight_files.check(folder.read(sharded))
    first, second = caught.value.problems
    assert "has no model-1.safetensors, which model.safetensors.index.json names" in first
    assert "model-2.safetensors is damaged or cut short" in second


def test_a_shard_of_other_weights_than_the_index_says(sharded: Path) -> None:
    save(sharded / "model-2.safetensors", "b")
    with pytest.raises(BuildError, match=r"differ in what it holds, such as c; fetch both again"):
        weight_files.check(folder.read(sharded))


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {"a": 1}}])
def test_an_index_that_says_nothing(sharded: Path, index: dict[str, object]) -> None:
    (sharded / INDEX).write_text(json.dumps(index))
    with pytest.raises(BuildError, match="does not say which file holds which weights"):
        weight_files.check(folder.read(sharded))
