"""Builds from each source, and errors for invalid sources."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from build.__main__ import main
from server.model import manifest
from tests import tiny
from tests.build import fake_hub
from tests.build.conftest import Build, Refused

shows = pytest.mark.shows


def read(models: Path, name: str = "tiny") -> manifest.Manifest:
    return manifest.decode((models / f"{name}.json").read_bytes())


def test_a_folder_gives_every_variant_and_a_manifest_that_describes_them(
    build: Build, snapshot: Path, tmp_path: Path
) -> None:
    done = build("--model", snapshot)
    assert done.returncode == 0, done.stderr
    made = read(tmp_path / "models")
    assert sorted(path.name for path in (tmp_path / "models").iterdir() if path.name != ".lock") == [
        "tiny.fp16-cuda.onnx",
        "tiny.fp16.onnx",
        "tiny.int8-static.onnx",
        "tiny.int8.onnx",
        "tiny.json",
        "tiny.md",
        "tiny.onnx",
        "tiny.tokenizer.json",
    ]
    assert (made.dimension, made.max_tokens, made.pooling, made.source.kind) == (32, 64, "cls", "folder")
    assert made.prompts == {"query": "the query: "}
    assert made.variants["fp32"].fidelity.to_source.min >= 0.99999
    assert made.variants["fp16"].fidelity.to_fp32.min >= 0.9999
    assert made.variants["fp16-cuda"].fidelity.to_fp32.min >= 0.9999
    assert {name for name, variant in made.variants.items() if variant.device == "cuda"} == {"fp16-cuda"}
    assert made.variants["fp16-cuda"].passes[-3:] == ["pack-tokens", "fuse-sums", "float16"]
    assert made.variants["int8"].fidelity.to_fp32.mean >= 0.99
    assert made.variants["int8-static"].fidelity.to_fp32.mean >= 0.99
    assert "pack-tokens" in made.variants["int8"].passes
    assert made.fidelity_texts.count >= 300
    assert made.calibration_texts.sha256 != made.fidelity_texts.sha256
    assert made.notes == []
    tokenizer = json.loads((tmp_path / "models/tiny.tokenizer.json").read_text())
    assert (tokenizer["truncation"], tokenizer["padding"]) == (None, None)


@pytest.mark.parametrize("architecture", ["roberta", "xlm-roberta", "distilbert", "mpnet"])
def test_other_encoders_are_packed_too(tmp_path: Path, architecture: str) -> None:
    source = tiny.snapshot(tmp_path / "tiny", architecture, pooling="mean")
    wanted = ["--models-dir", str(tmp_path / "models"), "--precisions", "fp32,int8,fp32-cuda"]
    assert main(["--model", str(source), *wanted]) == 0
    made = read(tmp_path / "models")
    assert made.architecture == architecture
    assert "pack-tokens" in made.variants["fp32"].passes
    assert made.variants["fp32"].fidelity.to_source.min >= 0.99999
    assert made.variants["int8"].fidelity.to_source.mean >= 0.99
    if architecture == "mpnet":
        assert "fp32-cuda cannot be made" in made.notes[0]
    else:
        assert made.variants["fp32-cuda"].fidelity.to_source.min >= 0.99999


def test_an_unknown_encoder_is_served_as_exported_and_the_build_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tiny.snapshot(tmp_path / "tiny", "roformer", embedding_size=32)
    assert main(["--model", str(source), "--models-dir", str(tmp_path / "models")]) == 0
    made = read(tmp_path / "models")
    assert made.notes
    assert made.notes[0].startswith("not padding-free")
    assert f"note: {made.notes[0]}" in capsys.readouterr().out
    assert "pack-tokens" not in made.variants["fp32"].passes
    assert "int8-static" not in made.variants
    assert made.variants["fp32"].fidelity.to_source.min >= 0.99999
    assert made.variants["int8"].passes[-2:] == ["int8-batch", "reduce-range"]


def test_the_hub_gives_a_pinned_revision_and_a_broken_download_resumes(build: Build, tmp_path: Path) -> None:
    # The client resumes at multiples of 10 MB: the weights must be larger than that.
    source = tiny.snapshot(tmp_path / "hub", vocab_size=100_000)
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    (source / "modeling_tiny.py").write_text("raise SystemExit('remote code ran')")
    with fake_hub.serve(source, drop_after=11_000_000) as hub:
        arguments = ("--model", "owner/tiny", "--revision", "v1", "--precisions", "fp32")
        broken = build(*arguments, HF_ENDPOINT=hub.url)
        done = build(*arguments, HF_ENDPOINT=hub.url)
    assert broken.returncode == 1
    assert "same command again to go on where it stopped" in broken.stderr
    assert done.returncode == 0, done.stderr
    made = read(tmp_path / "models")
    assert (made.source.kind, made.source.id, made.source.licence) == ("hub", "owner/tiny", "mit")
    assert made.source.revision == fake_hub.COMMIT
    assert hub.revisions[0] == "v1"
    assert hub.ranges == ["bytes=10485760-"]
    assert not {"pytorch_model.bin", "modeling_tiny.py"} & hub.fetched


def test_a_hub_out_of_reach_names_the_other_sources(build: Build, tmp_path: Path) -> None:
    done = build("--model", "BAAI/bge-large-en-v1.5", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    for word in ("folder", "all-MiniLM-L6-v2", "synthetic-bge-large"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "models").glob("*.json"))


def test_a_model_that_the_hub_has_not(build: Build, snapshot: Path) -> None:
    with fake_hub.serve(snapshot) as hub:
        done = build("--model", "owner/absent", HF_ENDPOINT=hub.url)
    assert done.returncode == 1
    assert "has no model 'owner/absent'" in done.stderr


def _pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _no_settings(folder: Path) -> None:
    (folder / "modules.json").unlink()


def _decoder(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))


def _unknown(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "nonesuch"}))


def _torn_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:3000])


def _torn_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "be')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(_pickles, "only as pickle", marks=shows("weights as pickle alone")),
        (_no_weights, "has no weights"),
        (_no_settings, "has no modules.json"),
        (_decoder, "not an encoder"),
        (_unknown, "knows no architecture 'nonesuch'"),
        pytest.param(
            _torn_weights,
            "is damaged or cut short",
            marks=shows("weights missing, damaged, truncated, or not those of the index"),
        ),
        (_torn_json, "is not JSON"),
    ],
)
def test_a_folder_that_is_not_a_sentence_model(
    refused: Refused, snapshot: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = Path(shutil.copytree(snapshot, tmp_path / "damaged"))
    damage(folder)
    assert message in refused("--model", folder)


def test_the_embedded_default_is_refused_when_its_hash_is_wrong(
    refused: Refused, snapshot: Path, tmp_path: Path
) -> None:
    shutil.copytree(snapshot, tmp_path / "cache" / "all-MiniLM-L6-v2")
    assert "is not the original file" in refused("--model", "all-MiniLM-L6-v2")


def test_the_embedded_default_without_a_package_index(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"CONFIG_FILE": "/dev/null", "INDEX_URL": "http://127.0.0.1:9", "RETRIES": "0", "NO_CACHE_DIR": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    said = refused("--model", "all-MiniLM-L6-v2")
    assert "gave neither package" in said
    assert "MODEL=/path/to/all-MiniLM-L6-v2" in said


def test_a_word_that_is_no_source_lists_the_sources(refused: Refused) -> None:
    assert "a Hub id" in refused("--model", "bge")
