import json
from pathlib import Path

import pytest

from build.clean import clean, seal

GRAPHS = ["m.int8.onnx", "m.onnx", "m.onnx.data"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    listed = {
        "schema": 2,
        "name": "m",
        "tokenizer": {"file": "m.tokenizer.json"},
        "variants": {
            "fp32": {"file": "m.onnx", "weights": {"file": "m.onnx.data"}},
            "int8": {"file": "m.int8.onnx"},
        },
        "fidelity_texts": {},
    }
    (tmp_path / "m.json").write_text(json.dumps(listed))
    for name in ("m.tokenizer.json", *GRAPHS):
        (tmp_path / name).write_text("built")
    return tmp_path


def test_only_what_manifests_list_is_removed(models: Path) -> None:
    (models / "mine.onnx").write_text("mine")
    (models / "mine.json").write_text('["mine"]')
    assert sorted(clean(models)) == sorted(["m.json", *GRAPHS, "m.tokenizer.json"])
    assert sorted(path.name for path in models.iterdir()) == ["mine.json", "mine.onnx"]


def test_a_card_goes_with_its_model_unless_somebody_changed_it(models: Path) -> None:
    card = "# m\n" + seal("# m\n")
    for name in ("m.md", "README.md"):
        (models / name).write_text(card)
    assert "m.md" in clean(models)
    assert [path.name for path in models.iterdir()] == ["README.md"]


def test_a_card_with_a_reader_s_words_in_it_stays(models: Path) -> None:
    (models / "m.md").write_text("# m\nmy words\n" + seal("# m\n"))
    clean(models)
    assert [path.name for path in models.iterdir()] == ["m.md"]


def test_a_manifest_names_nothing_outside_its_folder(models: Path) -> None:
    (models.parent / "mine").write_text("mine")
    manifest = json.loads((models / "m.json").read_bytes())
    manifest["variants"]["fp32"]["file"] = "../mine"
    (models / "m.json").write_text(json.dumps(manifest))
    clean(models)
    assert (models.parent / "mine").exists()
