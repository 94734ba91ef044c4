"""Files that are read from a model's folder, and those rejected."""

from pathlib import Path

import pytest

from build.errors import BuildError
from build.sources import folder, weight_files
from build.sources.snapshot import Snapshot, inventory


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")


def test_lists_allowed_files_only_and_hashes_them(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "config.json",
        "model.safetensors",
        "1_Pooling/config.json",
        "spiece.model",
        "modeling.py",
        "model.bin",
        ".git/x.json",
    )
    files = inventory(tmp_path)
    assert sorted(files) == ["1_Pooling/config.json", "config.json", "model.safetensors", "spiece.model"]
    assert files["config.json"] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_any_other_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no config\.json"):
        inventory(tmp_path)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("BAAI/bge-large-en-v1.5", "bge-large-en-v1.5"),
        ("my model (v2)", "my-model-v2"),
        ("../..", "model"),
        ("_draft", "draft"),
        ("模型", "model"),
    ],
)
def test_the_artifact_name_is_safe_in_any_file_system(tmp_path: Path, given: str, name: str) -> None:
    assert Snapshot(tmp_path, "folder", given, "r", "mit", {}).name == name


def test_a_folder_s_revision_follows_its_content(tmp_path: Path) -> None:
    fill(tmp_path, "config.json", "model.safetensors")
    first = folder.read(tmp_path)
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    assert folder.read(tmp_path).revision == first.revision
    assert (first.licence, folder.read(tmp_path).licence) == ("unknown", "apache-2.0")
    (tmp_path / "config.json").write_text('{"changed": 1}')
    assert folder.read(tmp_path).revision != first.revision


def test_in_the_hub_s_cache_the_id_is_the_hub_s(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--BAAI--bge-large-en-v1.5/snapshots/d4aa6901"
    blobs = tmp_path / "models--BAAI--bge-large-en-v1.5/blobs"
    fill(blobs, "1", "2")
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/1")
    (snapshot / "model.safetensors").symlink_to("../../blobs/2")
    found = folder.read(snapshot)
    assert (found.id, found.name, found.kind) == ("BAAI/bge-large-en-v1.5", "bge-large-en-v1.5", "folder")
    assert sorted(found.files) == ["config.json", "model.safetensors"]


def test_the_encoder_s_part_has_its_files_by_their_names_there(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "modules.json",
        "0_Transformer/config.json",
        "0_Transformer/model.safetensors",
        "1_Pooling/config.json",
    )
    whole = folder.read(tmp_path)
    part = whole.inner("0_Transformer")
    assert (part.folder, sorted(part.files)) == (tmp_path / "0_Transformer", ["config.json", "model.safetensors"])
    for other in ("", "1_Pooling", "../elsewhere"):
        with pytest.raises(BuildError, match=r"has no (config\.json|weights)"):
            weight_files.check(whole.inner(other))
