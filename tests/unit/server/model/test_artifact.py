import os
from collections.abc import Callable
from pathlib import Path

import pytest

from server.errors import StartError
from server.model import staging
from server.model.artifact import Artifact, find_artifact, open_artifact, verifying
from server.model.manifest import SCHEMA_OF_TWO_FILES
from tests.unit.server import tiny


def refuse(models_dir: Path, match: str, model: str = tiny.NAME) -> str:
    with pytest.raises(StartError, match=match) as caught:
        open_artifact(models_dir, model, "fp32")
    return str(caught.value)


def test_a_built_model_opens_by_name_and_by_hub_id(models_dir: Path, artifact: Artifact) -> None:
    assert artifact.manifest.dimension == tiny.DIMENSION
    assert artifact.model_path.read_bytes() == tiny.graph(tiny.table())
    assert open_artifact(models_dir, "some-org/tiny", "fp32") == artifact


def test_a_default_prompt_that_the_model_has_not_is_refused(models_dir: Path) -> None:
    tiny.write_model(models_dir, changes={"default_prompt_name": "query"})
    assert open_artifact(models_dir, tiny.NAME, "fp32").manifest.default_prompt == "query: "
    tiny.write_model(models_dir, changes={"default_prompt_name": "other"})
    refuse(models_dir, "default_prompt_name is none of the prompts")


@pytest.mark.parametrize(
    ("pooling", "known"), [("mean+lasttoken", True), ("sum", False), ("mean+", False), ("", False)]
)
def test_pooling_is_one_mode_or_several(models_dir: Path, pooling: str, known: bool) -> None:
    tiny.write_model(models_dir, changes={"pooling": pooling})
    if known:
        assert open_artifact(models_dir, tiny.NAME, "fp32").manifest.pooling == pooling
    else:
        refuse(models_dir, "pooling")


def test_the_prompt_is_pooled_unless_the_manifest_says_otherwise(models_dir: Path, artifact: Artifact) -> None:
    assert artifact.manifest.unpooled_by_prompt == {}
    tiny.write_model(models_dir, changes={"unpooled": {"query": 3}})
    assert open_artifact(models_dir, tiny.NAME, "fp32").manifest.unpooled_by_prompt == {"query: ": 3}
    tiny.write_model(models_dir, changes={"unpooled": {"other": 3}})
    refuse(models_dir, "unpooled names a prompt that the model does not have")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def replace_by_symlink(path: Path) -> None:
    elsewhere = path.parent.parent / path.name
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def link_hard(path: Path) -> None:
    os.link(path, path.parent.parent / path.name)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def add_weights(models_dir: Path, name: str = "tiny.onnx.data") -> None:
    """Add a file that the manifest lists as the graph's weights."""
    (models_dir / name).write_bytes(b"weights" * 100)
    fields = tiny.describe(models_dir, tiny.NAME)
    variants: dict[str, dict[str, object]] = fields["variants"]  # type: ignore[assignment]
    own = variants["fp32"] | {"weights": tiny.described_file(models_dir / name)}
    tiny.write_manifest(models_dir, changes={"schema": SCHEMA_OF_TWO_FILES, "variants": {"fp32": own}})


def test_the_file_of_a_graph_s_weights_is_verified_with_it(models_dir: Path, artifact: Artifact) -> None:
    add_weights(models_dir)
    opened = open_artifact(models_dir, tiny.NAME, "fp32")
    assert opened.model_path == artifact.model_path
    assert [file.file for file in opened.variant.files] == ["tiny.onnx", "tiny.onnx.data"]
    assert opened.space == artifact.space


def test_weights_in_a_file_that_the_graph_does_not_read_are_refused(models_dir: Path) -> None:
    add_weights(models_dir, "other.data")
    refuse(models_dir, r"the weights of tiny\.onnx are in other\.data, expected tiny\.onnx\.data")


@pytest.mark.parametrize("file", ["tiny.onnx", "tiny.onnx.data", "tiny.tokenizer.json"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip_a_byte, "SHA-256 [0-9a-f]{64}, expected"),
        (cut_short, "bytes, expected"),
        (append, "bytes, expected"),
        (Path.unlink, "No such file"),
        (replace_by_symlink, "is a symbolic link"),
        (link_hard, "has 2 hard links"),
        (replace_by_folder, "is not a regular file"),
    ],
)
def test_a_file_that_is_not_the_one_built_is_refused_by_name(
    models_dir: Path, file: str, damage: Callable[[Path], None], reason: str
) -> None:
    add_weights(models_dir)
    damage(models_dir / file)
    assert str(models_dir / file) in refuse(models_dir, reason)


def test_a_graph_loaded_while_it_is_verified_is_refused_for_its_bytes_whether_it_loads_or_not(
    models_dir: Path,
) -> None:
    flip_a_byte(models_dir / "tiny.onnx")
    artifact = find_artifact(models_dir, "some-org/tiny", "fp32")
    remedy = "SHA-256.*make build-models MODEL=some-org/tiny"
    with pytest.raises(StartError, match=remedy), verifying(artifact, "some-org/tiny"):
        assert artifact.model_path.exists()
    with pytest.raises(StartError, match=remedy), verifying(artifact, "some-org/tiny"):
        raise StartError("could not be loaded")


def test_a_graph_that_is_the_one_built_fails_for_its_own_reasons_only(models_dir: Path) -> None:
    artifact = find_artifact(models_dir, tiny.NAME, "fp32")
    with verifying(artifact, tiny.NAME):
        assert artifact.model_path.exists()
    with pytest.raises(StartError, match="could not be loaded"), verifying(artifact, tiny.NAME):
        raise StartError("could not be loaded")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 99}, "schema 99"),
        ({"surprise": 1}, "surprise"),
        ({"dimension": 0}, "dimension"),
        ({"name": "other"}, "describes the model other"),
        ({"tokenizer": {"file": "../tiny.onnx", "bytes": 1, "sha256": "0" * 64}}, "tokenizer.file"),
        ({"tokenizer": {"file": "/etc/passwd", "bytes": 1, "sha256": "0" * 64}}, "tokenizer.file"),
    ],
)
def test_a_manifest_that_departs_from_the_schema_is_refused(
    models_dir: Path, changes: dict[str, object], reason: str
) -> None:
    tiny.write_model(models_dir, changes=changes)
    assert "tiny.json" in refuse(models_dir, reason)


def test_a_manifest_that_is_a_link_is_refused(models_dir: Path) -> None:
    replace_by_symlink(models_dir / "tiny.json")
    refuse(models_dir, "tiny.json is a symbolic link")


def test_a_model_not_built_is_refused_with_those_that_are_and_the_remedy(models_dir: Path) -> None:
    message = refuse(models_dir, "built models there: tiny", model="BAAI/bge-large-en-v1.5")
    assert "make build-models MODEL=BAAI/bge-large-en-v1.5" in message


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere", "no folder .*nowhere")
    refuse(tmp_path, "no model has been built")


def test_a_precision_not_built_is_refused_with_those_that_are(models_dir: Path) -> None:
    with pytest.raises(StartError, match=r"not built in int8; built: fp32.*QUANTIZATION"):
        open_artifact(models_dir, tiny.NAME, "int8")


def with_cuda(models_dir: Path, **changes: object) -> None:
    """Add a second graph to the model, for CUDA."""
    (models_dir / "tiny.fp32-cuda.onnx").write_bytes(tiny.graph(tiny.table() + 1))
    fields = tiny.describe(models_dir, tiny.NAME)
    variants: dict[str, dict[str, object]] = fields["variants"]  # type: ignore[assignment]
    own = variants["fp32"] | tiny.described_file(models_dir / "tiny.fp32-cuda.onnx") | {"device": "cuda"}
    tiny.write_model(models_dir, changes={"variants": variants | {"fp32-cuda": own | changes}})


def test_cuda_gets_the_graph_made_for_it_and_nobody_else_does(models_dir: Path) -> None:
    with_cuda(models_dir)
    assert open_artifact(models_dir, tiny.NAME, "fp32", cuda=True).model_path.name == "tiny.fp32-cuda.onnx"
    assert open_artifact(models_dir, tiny.NAME, "fp32").model_path.name == "tiny.onnx"


def test_cuda_gets_the_graph_for_every_device_where_it_has_none_of_its_own(models_dir: Path) -> None:
    opened = open_artifact(models_dir, tiny.NAME, "fp32", cuda=True)
    assert (opened.model_path.name, opened.variant.device) == ("tiny.onnx", "any")


def test_a_graph_that_says_it_is_another_than_its_name_is_refused(models_dir: Path) -> None:
    with_cuda(models_dir, device="any")
    with pytest.raises(StartError, match=r"lists tiny\.fp32-cuda\.onnx under fp32-cuda, but as fp32 for any device"):
        open_artifact(models_dir, tiny.NAME, "fp32", cuda=True)


def test_a_manifest_of_the_version_before_is_still_read(models_dir: Path) -> None:
    tiny.write_model(models_dir, changes={"schema": 1})
    assert open_artifact(models_dir, tiny.NAME, "fp32", cuda=True).variant.device == "any"


def test_a_finished_build_that_was_killed_while_moving_in_is_completed(models_dir: Path) -> None:
    stage_new_build(models_dir)
    assert open_artifact(models_dir, tiny.NAME, "fp32").manifest.architecture == "Newer"
    assert not list(models_dir.glob(".staging-*"))


def test_a_read_only_folder_says_to_build_again(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_new_build(models_dir)

    def read_only(_source: Path, _target: Path) -> Path:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(Path, "rename", read_only)
    assert "make build-models MODEL=tiny" in refuse(models_dir, "Read-only file system")


def stage_new_build(models_dir: Path) -> None:
    staged = staging.staging_folder(models_dir, tiny.NAME)
    staged.mkdir()
    tiny.write_model(staged, changes={"architecture": "Newer"})
    (staged / staging.MARKER).touch()
