"""A model whose weights exceed one file: built, served and replaced as others are."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from build import pipeline
from build.clean import clean
from build.pipeline import BuildPlan
from server.model.artifact import open_artifact
from server.model.manifest import SCHEMA, SCHEMA_OF_TWO_FILES, VARIANTS, VariantName
from server.model.staging import staging_folder
from tests.build import folders
from tests.build.test_faults import digests
from tests.faults.test_start import flip, link, truncate
from tests.serving import refused, serve

GRAPH, WEIGHTS = "tiny.onnx", "tiny.onnx.data"
# Between the sizes of the tiny model in fp32 and in fp16.
LIMIT = 70_000


def built(source: Path, models_dir: Path, largest: int, wanted: tuple[VariantName, ...] = ("fp32",)) -> Path:
    """Build with another limit of a file's weights; return the folder."""
    texts = models_dir.parent / "texts.jsonl"
    texts.write_text(folders.TEXTS, "utf-8")
    cache = models_dir.parent / "cache"
    plan = BuildPlan(str(source), models_dir, cache, wanted, fidelity_texts=texts, calibration_texts=texts)
    pipeline.build(replace(plan, largest=largest))
    return models_dir


@pytest.fixture(scope="module")
def good(snapshot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, fp32 in two files; to be copied."""
    return built(snapshot, tmp_path_factory.mktemp("two") / "models", LIMIT, VARIANTS)


@pytest.fixture
def models(good: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(good, tmp_path / "models"))


def test_it_is_served_as_from_one_file(good: Path, models: Path, snapshot: Path, tmp_path: Path) -> None:
    made = folders.described(models)
    assert made.schema == SCHEMA_OF_TWO_FILES
    assert {name for name, one in made.variants.items() if len(one.files) > 1} == {"fp32", "fp32-cuda"}
    with serve(models_dir=models, model="tiny") as served:
        vectors = np.array(served.embed(folders.ASKED))
        (models / WEIGHTS).write_bytes(bytes((models / WEIGHTS).stat().st_size))
        assert np.array_equal(served.embed(folders.ASKED), vectors)
    shutil.copyfile(good / WEIGHTS, models / WEIGHTS)
    assert folders.least_cosine(vectors.astype(np.float32), folders.source(snapshot).encode(folders.ASKED)) >= 0.99999
    one = folders.described(built(snapshot, tmp_path / "one", 10**6, VARIANTS))
    assert one.schema == SCHEMA
    assert np.array_equal(folders.served(models), folders.served(tmp_path / "one"))
    assert [variant.fidelity for variant in one.variants.values()] == [
        variant.fidelity for variant in made.variants.values()
    ]
    assert one.spaces == made.spaces
    for name in ("fp16", "int8", "int8-static", "fp16-cuda"):
        assert one.variants[name] == made.variants[name]


@pytest.mark.parametrize("damage", [flip, truncate, link, Path.unlink])
def test_a_file_of_weights_that_is_not_the_built_one_is_refused(models: Path, damage: Callable[[Path], None]) -> None:
    damage(models / WEIGHTS)
    status, said = refused(models_dir=models, model="tiny", quantization="fp32")
    assert status == 3
    assert WEIGHTS in said
    assert "Traceback" not in said


def test_a_build_that_is_stopped_leaves_the_old(models: Path, snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(models)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("build.card.of_model", stopped)
    with pytest.raises(KeyboardInterrupt):
        built(snapshot, models, largest=0)
    assert digests(models) == before


def test_a_commit_that_is_stopped_between_the_two_files_is_completed(good: Path, models: Path) -> None:
    new = digests(models)
    staged = staging_folder(models, "tiny")
    staged.mkdir()
    for name in new:
        (models / name).rename(staged / name)
    (staged / "COMMIT").touch()
    (staged / GRAPH).rename(models / GRAPH)
    open_artifact(models, "tiny", "fp32")
    assert digests(models) == new == digests(good)


def test_a_build_in_one_file_removes_the_second(models: Path, snapshot: Path) -> None:
    built(snapshot, models, 10**6)
    assert not list(models.glob("*.data"))
    open_artifact(models, "tiny", "fp32")


def test_the_card_and_clean_know_both(models: Path) -> None:
    made = folders.described(models).variants["fp32"]
    card = (models / "tiny.md").read_text("utf-8")
    assert all(file.sha256 in card for file in made.files)
    assert f"{made.total_bytes / 1e6:,.1f}" in card
    assert WEIGHTS in clean(models)
    assert [path.name for path in models.iterdir()] == [".lock"]
