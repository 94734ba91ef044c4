"""The id of an embedding space: what changes it, what does not, and what is no id."""

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.model import space
from server.model.artifact import Artifact
from server.model.manifest import Manifest, Variant, encode
from server.model.space import parse

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "space.md"
OTHER = "2" * 64
# What of a manifest leaves vectors as they are, within the fidelity that a build is held to.
NEUTRAL = {
    "schema",
    "architecture",
    "fidelity_texts",
    "notes",
    "tools",
    "spaces",
    "chosen",
    "int8_ranges",  # of int8 output, whose scale is in every answer
}
# `name` is in the id itself; of these, a part is in the hash.
PARTIAL = {"name", "source", "tokenizer", "variants", "calibration_texts"}


@pytest.fixture
def manifest(artifact: Artifact) -> Manifest:
    return artifact.manifest


def changed(manifest: Manifest, **changes: Any) -> Manifest:
    return msgspec.structs.replace(manifest, **changes)


def with_files(manifest: Manifest, **files: str) -> Manifest:
    source = msgspec.structs.replace(manifest.source, files={**manifest.source.files, **files})
    return changed(manifest, source=source)


def with_variant(manifest: Manifest, name: str, **changes: Any) -> Manifest:
    made = msgspec.structs.replace(manifest.variants["fp32"], **changes)
    return changed(manifest, variants={**manifest.variants, name: made})


def test_the_documented_computation_gives_the_same_ids(manifest: Manifest, tmp_path: Path) -> None:
    files = {"onnx/model.safetensors": OTHER, "2_Dense/config.json": OTHER, "2_Dense/other.json": OTHER}
    asked = changed(
        with_files(
            with_variant(manifest, "int8", precision="int8", passes=["x", "int8-token", "reduce-range"]), **files
        ),
        prompts={"query": "Frage\u00a0☃: "},
        default_prompt_name="query",
        unpooled={"query": 3},
    )
    path = tmp_path / "tiny.json"
    path.write_bytes(encode(asked))
    script = DOCUMENT.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    shown = subprocess.run([sys.executable, "-", path], input=script, capture_output=True, text=True, check=True).stdout
    assert dict(line.split() for line in shown.splitlines()) == space.of_variants(asked)


def test_an_id_never_changes_with_a_version_of_this_program(manifest: Manifest) -> None:
    """Ids are written into stores: one that is computed otherwise would part users from their vectors."""
    file = msgspec.structs.replace(manifest.tokenizer, sha256="3" * 64)
    made = with_variant(
        changed(manifest, tokenizer=file), "int8", precision="int8", passes=["pack-tokens", "int8-token"]
    )
    assert space.of_variants(made) == {"fp32": "tiny@5ef644c9bbf1/fp32", "int8": "tiny@5ef644c9bbf1/int8-f462d3fd"}


@pytest.mark.parametrize(
    "change",
    [
        {"dimension": 9},
        {"max_tokens": 17},
        {"pooling": "cls"},
        {"source_normalizes": False},
        {"prompts": {"query": "query:"}},
        {"prompts": {}},
        {"default_prompt_name": "query"},
        {"unpooled": {"query": 1}},
    ],
)
def test_what_changes_a_vector_changes_the_id(manifest: Manifest, change: dict[str, Any]) -> None:
    assert space.of_model(changed(manifest, **change)) != space.of_model(manifest)


def test_another_tokenizer_is_another_space(manifest: Manifest) -> None:
    file = msgspec.structs.replace(manifest.tokenizer, sha256=OTHER)
    assert space.of_model(changed(manifest, tokenizer=file)) != space.of_model(manifest)


@pytest.mark.parametrize("name", ["model.safetensors", "2_Dense/model.safetensors", "config.json", "modules.json"])
def test_other_weights_or_layers_are_another_space(manifest: Manifest, name: str) -> None:
    assert space.of_model(with_files(manifest, **{name: OTHER})) != space.of_model(manifest)


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json", "data_config.json", "onnx/config.json"])
def test_files_that_a_vector_does_not_depend_on_leave_the_id(manifest: Manifest, name: str) -> None:
    assert space.of_model(with_files(manifest, **{name: OTHER})) == space.of_model(manifest)


def test_where_it_came_from_and_what_made_it_leave_the_id(manifest: Manifest) -> None:
    source = msgspec.structs.replace(manifest.source, kind="folder", id="/data/x", revision="2", licence="MIT")
    texts = msgspec.structs.replace(manifest.fidelity_texts, count=7)
    other = changed(manifest, source=source, tools={"torch": "9"}, notes=["a note"], fidelity_texts=texts)
    assert space.of_variants(other) == space.of_variants(manifest)


def test_every_key_of_a_manifest_is_in_the_id_or_known_to_change_nothing() -> None:
    """A new key must be put into one of these sets, with a thought."""
    assert set(Manifest.__struct_fields__) == NEUTRAL | PARTIAL | set(space.SETTINGS)


def test_a_precision_s_graphs_for_every_device_are_one_space(manifest: Manifest) -> None:
    made = with_variant(with_variant(manifest, "fp16", precision="fp16"), "fp16-cuda", precision="fp16", device="cuda")
    ids = space.of_variants(made)
    assert ids["fp16"] == ids["fp16-cuda"] != ids["fp32"]


def test_int8_is_told_by_its_recipe_and_its_calibration(manifest: Manifest) -> None:
    def id_of(manifest: Manifest, *passes: str) -> str:
        made = with_variant(manifest, "int8", precision="int8", passes=["export", *passes], sha256=OTHER)
        return space.of_variants(made)["int8"]

    texts = msgspec.structs.replace(manifest.calibration_texts, sha256=OTHER)
    ids = {
        id_of(manifest, "int8-token"),
        id_of(manifest, "int8-token", "reduce-range"),
        id_of(manifest, "int8-token", "int8-pairs"),
        id_of(manifest, "int8-batch"),
        id_of(changed(manifest, calibration_texts=texts), "int8-token"),
    }
    assert len(ids) == 5
    assert id_of(manifest, "int8-token") == id_of(manifest, "fuse-sums", "int8-token")


def test_a_graph_counts_only_where_there_are_no_weights(manifest: Manifest) -> None:
    """With them, a build of the graph has been compared with them, and is in the space of a build of the weights."""
    files = {**manifest.source.files, "onnx/model.onnx": OTHER}
    both = changed(manifest, source=msgspec.structs.replace(manifest.source, files=files))
    assert space.of_model(both) == space.of_model(manifest)
    alone = [{"config.json": OTHER, "onnx/model.onnx": digest} for digest in (OTHER, "0" * 64)]
    sources = [msgspec.structs.replace(manifest.source, files=files) for files in alone]
    assert len({space.of_model(changed(manifest, source=source)) for source in sources}) == 2


def test_a_manifest_without_weights_has_no_id(manifest: Manifest) -> None:
    source = msgspec.structs.replace(manifest.source, files={"config.json": OTHER})
    with pytest.raises(ValueError, match="lists no weights"):
        space.of_model(changed(manifest, source=source))


def test_ids_read_back_and_say_what_they_admit(manifest: Manifest) -> None:
    variants: list[Variant] = [manifest.variants["fp32"]]
    served = parse(space.of_variant(manifest, variants[0]))
    assert str(served) == space.of_variant(manifest, variants[0])
    assert parse(served.model).admits(served)
    assert served.admits(served)
    assert not parse(f"{served.model}/fp16").admits(served)
    assert not parse("tiny@000000000000").admits(served)
    assert not served.admits(parse(served.model))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-0123abcd", "int8-static-0123abcd"])
def test_every_precision_has_ids(precision: str) -> None:
    longest = f"a{'b' * 127}@0123456789ab/{precision}"
    assert str(parse(longest)) == longest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name@",
        "name@0123",
        "name@0123456789AB",
        "name@0123456789ab/",
        "name@0123456789ab/int8",
        "name@0123456789ab/fp64",
        "name@0123456789ab/fp32/",
        "name@0123456789ab\n",
        "na me@0123456789ab",
        "org/name@0123456789ab",
        "a@b@0123456789ab",
        "ünï@0123456789ab",
        "name@０123456789ab",
        f"{'a' * 129}@0123456789ab",
        "a" * 1_000_000,
    ],
)
def test_what_is_no_id_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="is not the id of an embedding space: NAME@HASH") as caught:
        parse(text)
    assert len(str(caught.value)) < 200


@given(text=st.text(max_size=60))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        assert str(parse(text)) == text
    except ValueError:
        return


@given(seed=st.integers())
def test_the_order_of_keys_does_not_matter(seed: int) -> None:
    files = {f"{number}_Dense/model.safetensors": f"{number}" * 64 for number in range(5)}
    shuffled = dict(random.Random(seed).sample(list(files.items()), 5))  # noqa: S311 - no secret
    assert space._digest(files) == space._digest(shuffled)
