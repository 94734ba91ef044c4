"""All problems of a folder are reported at once, and each setting has its origin."""

import json
from pathlib import Path

import pytest

from build import inspection
from build.errors import BuildError
from tests import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's files as far as they are read here."""
    tiny.write_settings(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "max_position_embeddings": 66}')
    tiny.write_weights(tmp_path / "model.safetensors")
    return tmp_path


def change(path: Path, **settings: object) -> None:
    held = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(held | settings))


def test_it_knows_where_pooling_and_length_come_from(folder: Path) -> None:
    found = inspection.read_folder(folder)
    assert found.architecture == "bert"
    assert found.settings.pooling_file == "1_Pooling/config.json"
    assert found.settings.limits == {
        "max_seq_length in sentence_bert_config.json": 64,
        "max_position_embeddings in config.json": 66,
    }
    change(folder / "sentence_bert_config.json", max_seq_length=None)
    change(folder / "tokenizer_config.json", model_max_length=32)
    assert inspection.read_folder(folder).settings.limits["model_max_length in tokenizer_config.json"] == 32


def test_all_problems_are_reported_at_once(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "adapter_config.json").write_text("{}")
    change(folder / "config.json", model_type="gpt2")
    change(folder / "sentence_bert_config.json", max_seq_length="64", nonesuch=1)
    change(folder / "tokenizer_config.json", truncation_side="left", model_max_length=-1)
    change(folder / "1_Pooling/config.json", pooling_mode="none")
    change(folder / "config_sentence_transformers.json", prompts={"query": 5}, default_prompt_name="other")
    with pytest.raises(BuildError) as raised:
        inspection.read_folder(folder)
    expected = [
        "only as pickle (pytorch_model.bin)",
        "is a gpt2 model, not an encoder",
        "adapter_config.json, an adapter",
        "'truncation_side' is not supported",
        "'max_seq_length' is no whole number",
        "'nonesuch', which is no setting known here",
        "pools by none",
        "'model_max_length' is -1",
        "the prompt 'query' is no text",
        "'default_prompt_name' is 'other'",
    ]
    assert len(raised.value.problems) == len(expected)
    missing = [words for words in expected if not any(words in problem for problem in raised.value.problems)]
    assert missing == []


def test_a_file_that_cannot_be_read_is_reported_once(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "be')
    (folder / "modules.json").unlink()
    with pytest.raises(BuildError) as raised:
        inspection.read_folder(folder)
    unreadable, missing = raised.value.problems
    assert f"{folder / 'config.json'} is not JSON" in unreadable
    assert f"{folder} has no modules.json" in missing


def test_settings_of_the_wrong_kind_do_not_hide_others(folder: Path) -> None:
    change(folder / "config_sentence_transformers.json", prompts=["query"], default_prompt_name=["query"])
    change(folder / "1_Pooling/config.json", pooling_mode_cls_token=False)
    with pytest.raises(BuildError) as raised:
        inspection.read_folder(folder)
    assert ["is no object" in problem for problem in raised.value.problems].count(True) == 1
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_what_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match=f"{name} is no folder"):
        inspection.read_folder(tmp_path / name)
