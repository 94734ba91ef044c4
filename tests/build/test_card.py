"""A build ends with the model's card, of the files that it wrote, and leaves a page of others alone."""

from pathlib import Path

import pytest

from build.clean import clean, is_card
from server.model.artifact import sha256
from tests.build.folders import build


def test_a_build_ends_with_a_card_of_the_files_that_it_wrote(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    assert build(snapshot, models, "--precisions", "fp32,fp16") == 0
    said, written = capsys.readouterr().out, (models / "tiny.md").read_text("utf-8")
    files = [path for path in models.iterdir() if path.name not in (".lock", "tiny.md")]
    assert len(files) == 4
    for path in files:
        assert f"| {path.name} | {path.stat().st_size:,} | {sha256(path)} |" in written
        assert sha256(path) in said
    assert "make serve MODEL=tiny QUANTIZATION=fp16" in said
    assert str(tmp_path) not in written
    assert str(snapshot.parent) not in written
    assert is_card(models / "tiny.md")
    assert clean(models)[-1] == "tiny.json"
    assert [path.name for path in models.iterdir()] == [".lock"]


def test_a_later_build_replaces_the_card_and_is_refused_where_somebody_wrote_on_it(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, card = tmp_path / "models", tmp_path / "models" / "tiny.md"
    assert build(snapshot, models) == 0
    first = card.read_text("utf-8")
    assert build(snapshot, models, "--precisions", "fp32,fp16") == 0
    assert card.read_text("utf-8") != first
    card.write_text(first + "my words\n", "utf-8")
    before = {path.name: sha256(path) for path in models.iterdir()}
    assert build(snapshot, models) == 1
    assert "tiny.md is no card that a build wrote, or was changed since" in capsys.readouterr().err
    assert {path.name: sha256(path) for path in models.iterdir()} == before
