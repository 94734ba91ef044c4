"""The card of a built model says what its manifest does, and is a file that later builds know."""

from pathlib import Path

import pytest

from build import card, export
from build.clean import is_card
from build.inspection import Reading, read_folder
from build.passes import GraphPass, halve_floats, packing
from server.model import manifest
from server.model.artifact import sha256
from server.model.manifest import Fidelity, Manifest, Similarity, Variant, VariantName
from tests import tiny

NEAR = Similarity(mean=0.999357, p01=0.997955, min=0.997105)


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    folder = tmp_path / "tiny"
    tiny.write_settings(folder)
    (folder / "config.json").write_text('{"model_type": "bert", "max_position_embeddings": 66}')
    tiny.write_weights(folder / "model.safetensors")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return read_folder(folder)


def variant(name: VariantName, *passes: str) -> Variant:
    precision = "fp16" if name == "fp16-cuda" else name
    file = "tiny.onnx" if name == "fp32" else f"tiny.{name}.onnx"
    device = "cuda" if name == "fp16-cuda" else "any"
    return Variant(file, 90_320_485, "c" * 64, precision, list(passes), Fidelity(NEAR, NEAR), device)  # type: ignore[arg-type]


@pytest.fixture
def made(reading: Reading) -> Manifest:
    source, settings = reading.snapshot, reading.settings
    return Manifest(
        schema=manifest.SCHEMA,
        name=source.name,
        source=manifest.ModelSource(source.kind, source.id, source.revision, source.licence, source.files),
        architecture=reading.architecture,
        dimension=32,
        max_tokens=settings.max_tokens,
        pooling="cls",
        source_normalizes=settings.normalizes,
        prompts=settings.prompts,
        tokenizer=manifest.File("tiny.tokenizer.json", 7113, "d" * 64),
        variants={
            "fp32": variant("fp32", "pool-cls-normalize", "pack-tokens"),
            "int8": variant("int8", "pool-cls-normalize", "pack-tokens", "int8-token"),
            "fp16-cuda": variant("fp16-cuda", "pool-cls-normalize", "float16"),
        },
        fidelity_texts=manifest.FidelityTexts(360, "e" * 64),
        calibration_texts=manifest.FidelityTexts(128, "f" * 64),
        notes=["a word to users", "fp16 is left out: least cosine to fp32 is 0.1, the floor 0.999"],
        tools={"torch": "2.13.0"},
    )


def test_a_source_s_card_says_what_was_read_and_where(reading: Reading) -> None:
    weights = reading.snapshot.folder / "model.safetensors"
    shown = " ".join(card.of_source(reading).text().split())
    for row in (
        "model tiny folder",
        "licence mit README.md",
        "architecture bert config.json",
        "pooling cls 1_Pooling/config.json",
        "longest text 64 tokens the smallest limit",
        "limit 64 tokens max_seq_length in sentence_bert_config.json",
        "limit 66 tokens max_position_embeddings in config.json",
        'prompt query "the query: " config_sentence_transformers.json',
        f"model.safetensors {weights.stat().st_size} {sha256(weights)}",
    ):
        assert row in shown


def test_a_model_s_card_says_what_was_made_and_why_the_rest_was_not(reading: Reading, made: Manifest) -> None:
    shown = " ".join(card.of_model(reading, made).text().split())
    for row in (
        "The graph of fp32 is padding-free. Its vectors have 32 dimensions",
        "int8 yes pool-cls-normalize → pack-tokens → int8-token",
        "fp16 no fp16 is left out: least cosine to fp32 is 0.1, the floor 0.999",
        "int8-static no not requested",
        "a word to users",
        "int8 90.3 0.999357 0.997955 0.997105 0.999357 0.997105",
        f"tiny.int8.onnx 90,320,485 {'c' * 64}",
        f"tiny.tokenizer.json 7,113 {'d' * 64}",
        "make serve MODEL=tiny QUANTIZATION=int8",
        "make serve MODEL=tiny QUANTIZATION=fp16 DEVICE=cuda",
        '"input_type": "query"',
        "The source's licence is mit.",
        "torch 2.13.0",
    ):
        assert row in shown
    assert "QUANTIZATION=fp16\n" not in card.of_model(reading, made).text()


def test_it_is_written_once_sealed_and_without_the_machine_s_paths(
    reading: Reading, made: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.md"
    card.of_model(reading, made).write(path)
    assert is_card(path)
    assert str(tmp_path) not in path.read_text("utf-8")
    with pytest.raises(FileExistsError):
        card.of_model(reading, made).write(path)


def test_the_manifest_s_own_hash_is_that_of_its_file(reading: Reading, made: Manifest, tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_bytes(manifest.encode(made))
    assert f"{sha256(tmp_path / 'tiny.json')}" in card.of_model(reading, made).text()


def test_every_pass_of_a_shipped_graph_is_explained() -> None:
    shipped = (kind for module in (export, halve_floats, packing) for kind in vars(module).values())
    names = {kind.name for kind in shipped if isinstance(kind, type) and issubclass(kind, GraphPass) and kind.name}
    assert len(names) >= 9
    assert sorted(name for name in names if not card.purpose(name)) == []
    assert card.purpose("pool-mean-normalize")
    assert not card.purpose("nonesuch")
