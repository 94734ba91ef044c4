"""Pooling, length and prompts are read from the model's files, never guessed."""

import json
from pathlib import Path

import pytest

from build.errors import BuildError
from build.sentence import CARD_PROMPTS, read
from build.sources.snapshot import Snapshot
from tests import tiny


def make(folder: Path, name: str = "owner/tiny", **config: object) -> Snapshot:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 512} | config))
    files = {path.relative_to(folder).as_posix(): "0" * 64 for path in folder.rglob("*.json")} | {
        "model.safetensors": ""
    }
    return Snapshot(folder, "hub", name, "r", "mit", files)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_reads_pooling_length_and_prompts(tmp_path: Path, pooling: str) -> None:
    tiny.write_settings(tmp_path, pooling, max_tokens=256)
    found = read(make(tmp_path))
    assert (found.pooling.name, found.max_tokens, found.normalizes) == (pooling, 256, True)
    assert found.prompts == {"query": "the query: "}


def test_length_is_the_smallest_of_all_limits(tmp_path: Path) -> None:
    tiny.write_settings(tmp_path, max_tokens=1024)
    assert read(make(tmp_path)).max_tokens == 512


def test_roberta_counts_positions_from_the_padding_id_on(tmp_path: Path) -> None:
    tiny.write_settings(tmp_path, max_tokens=1024)
    found = read(make(tmp_path, model_type="xlm-roberta", max_position_embeddings=130, pad_token_id=1))
    assert found.max_tokens == 128


def test_refuses_a_bare_encoder_without_sentence_settings(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"has no modules\.json"):
        read(make(tmp_path))


@pytest.mark.parametrize("name", ["BAAI/bge-large-en-v1.5", "bge-large-en-v1.5"])
def test_bge_gets_the_query_prompt_that_its_card_names(tmp_path: Path, name: str) -> None:
    tiny.write_settings(tmp_path)
    (tmp_path / "config_sentence_transformers.json").write_text("{}")
    found = read(make(tmp_path, name=name))
    assert found.prompts == CARD_PROMPTS["BAAI/bge-large-en-v1.5"]
    assert found.prompts["query"].endswith("passages: ")
    assert found.from_card == ("query",)


def test_another_s_model_of_that_name_gets_none(tmp_path: Path) -> None:
    tiny.write_settings(tmp_path)
    (tmp_path / "config_sentence_transformers.json").write_text("{}")
    assert read(make(tmp_path, name="other/bge-large-en-v1.5")).prompts == {}


def test_the_settings_length_goes_before_the_tokenizer_s(tmp_path: Path) -> None:
    tiny.write_settings(tmp_path, max_tokens=256)
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 128}')
    assert read(make(tmp_path)).max_tokens == 256
    (tmp_path / "sentence_bert_config.json").write_text("{}")
    assert read(make(tmp_path)).max_tokens == 128


def test_the_first_settings_file_that_says_anything_holds(tmp_path: Path) -> None:
    tiny.write_settings(tmp_path)
    for name, length in (("bert", "null"), ("roberta", "32"), ("xlnet", "16")):
        text = "{}" if length == "null" else f'{{"max_seq_length": {length}}}'
        (tmp_path / f"sentence_{name}_config.json").write_text(text)
    assert read(make(tmp_path)).max_tokens == 32
