"""A server that cannot run as configured exits with status 3 and the reason; it never substitutes anything."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from server.model.artifact import open_artifact
from tests.serving import MINILM, MODELS, refused

GRAPH = f"{MINILM}.int8.onnx"
MANIFEST = f"{MINILM}.json"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the int8 model that a test may corrupt."""
    for name in (GRAPH, MANIFEST, f"{MINILM}.tokenizer.json"):
        shutil.copyfile(MODELS / name, tmp_path / name)
    return tmp_path


def flip(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(1000)
        byte = stream.read(1)
        stream.seek(1000)
        stream.write(bytes([byte[0] ^ 1]))


def truncate(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)


def swap(path: Path) -> None:
    shutil.copyfile(MODELS / f"{MINILM}.fp16.onnx", path)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to(MODELS / path.name)


@pytest.mark.parametrize("damage", [flip, truncate, swap, link, Path.unlink])
@pytest.mark.parametrize("name", [GRAPH, f"{MINILM}.tokenizer.json"])
def test_a_file_that_is_not_the_built_one(models: Path, damage: Callable[[Path], None], name: str) -> None:
    damage(models / name)
    status, said = refused(models_dir=models, quantization="int8")
    assert status == 3
    assert name in said
    assert "Traceback" not in said


def edit(models: Path, **changes: object) -> None:
    path = models / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"surprise": 1}, "surprise"),
        ({"dimension": 385}, "385"),
        ({"pooling": "sum"}, "pooling"),
    ],
)
def test_a_manifest_that_does_not_describe_the_model(models: Path, changes: dict[str, object], message: str) -> None:
    edit(models, **changes)
    status, said = refused(models_dir=models, quantization="int8")
    assert status == 3
    assert message in said
    assert "Traceback" not in said


def test_a_manifest_cannot_lead_out_of_the_folder(models: Path) -> None:
    manifest = json.loads((models / MANIFEST).read_text())
    manifest["variants"]["int8"]["file"] = "../outside.onnx"
    (models / MANIFEST).write_text(json.dumps(manifest))
    status, said = refused(models_dir=models, quantization="int8")
    assert status == 3
    assert "file" in said


def test_a_model_that_was_not_built_names_those_that_were(models: Path) -> None:
    status, said = refused(models_dir=models, model="bge-large-en-v1.5")
    assert status == 3
    assert MINILM in said
    assert "make build-models MODEL=bge-large-en-v1.5" in said


def test_a_precision_that_was_not_built(models: Path) -> None:
    manifest = json.loads((models / MANIFEST).read_text())
    del manifest["variants"]["fp16"]
    (models / MANIFEST).write_text(json.dumps(manifest))
    status, said = refused(models_dir=models, quantization="fp16")
    assert status == 3
    assert "fp32" in said
    assert "int8" in said


def test_cuda_is_never_replaced_by_the_cpu() -> None:
    status, said = refused(device="cuda")
    assert status == 3
    assert "DEVICE" in said
    assert "DEVICE=cpu" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "http"),
        ("QUANTIZATION", "int4"),
        ("DEVICE", "tpu"),
        ("THREADS", "0"),
        ("STREAMS", "0"),
        ("STREAMS", "4096"),
        ("MAX_BATCH_TOKENS", "100"),
        ("MAX_QUEUE_TOKENS", "-1"),
        ("REQUEST_TIMEOUT_S", "0"),
        ("AUTO_TRUNCATE", "perhaps"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_setting_out_of_range_names_itself(name: str, value: str) -> None:
    status, said = refused(**{name: value})
    assert status == 3
    assert f"{name}={value}" in said.replace("'", "")


def test_every_bad_setting_is_named_at_once() -> None:
    status, said = refused(port="x", device="tpu", threads="-2")
    assert status == 3
    assert all(name in said for name in ("PORT", "DEVICE", "THREADS"))


def test_a_port_in_use_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, said = refused(port=other.getsockname()[1])
    assert status == 3
    assert "PORT" in said
    assert "in use" in said


def test_the_copy_itself_is_good(models: Path) -> None:
    assert open_artifact(models, MINILM, "int8").variant.precision == "int8"
