"""No setting that changes vectors is ignored: they equal sentence-transformers', or the build fails."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from build.floors import FP32
from build.pooling import Pooling
from server.model.manifest import VariantName
from tests.build.conftest import Refused
from tests.build.folders import (
    ASKED,
    Change,
    build,
    byte_level,
    described,
    edit,
    edit_modules,
    least_cosine,
    same_as_source,
    served,
    source,
)

TRANSFORMER = "sentence_bert_config.json"
SENTENCE = "config_sentence_transformers.json"
POOLING = "1_Pooling/config.json"
shows = pytest.mark.shows


def _cased(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text("utf-8").replace('"lowercase":true', '"lowercase":false'), "utf-8")


def _lowercased_by_the_tokenizer_s_settings(folder: Path) -> None:
    _cased(folder)
    edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer", do_lower_case=True)


def _accents_kept(folder: Path) -> None:
    edit(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer", strip_accents=False)


def _lowercased_by_the_transformer_s_settings(folder: Path) -> None:
    shutil.rmtree(folder)
    edit(byte_level(folder), TRANSFORMER, do_lower_case=True)


def _settings_under_an_architecture_s_name(folder: Path) -> None:
    _cased(folder)
    (folder / TRANSFORMER).rename(folder / "sentence_distilbert_config.json")
    edit(folder, "sentence_distilbert_config.json", max_seq_length=16, do_lower_case=True)


def _saved_anew(folder: Path) -> None:
    _lowercased_by_the_tokenizer_s_settings(folder)
    loaded = source(folder)
    shutil.rmtree(folder)
    loaded.save(str(folder))


def _mean_by_list(folder: Path) -> None:
    (folder / POOLING).write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": ["mean"]}), "utf-8")


def _word_before_flags(folder: Path) -> None:
    edit(folder, POOLING, pooling_mode="mean")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            _lowercased_by_the_tokenizer_s_settings,
            marks=shows("case and accents that only `tokenizer_config.json` or `sentence_bert_config.json` says"),
        ),
        _accents_kept,
        _lowercased_by_the_transformer_s_settings,
        _settings_under_an_architecture_s_name,
        _saved_anew,
        _mean_by_list,
        _word_before_flags,
    ],
)
def test_it_is_served_as_sentence_transformers_has_it(folder: Path, tmp_path: Path, change: Change) -> None:
    change(folder)
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")


def test_a_default_prompt_goes_before_texts_that_ask_for_none(folder: Path, tmp_path: Path) -> None:
    edit(folder, SENTENCE, default_prompt_name="short", prompts={"short": "dog: ", "query": "the query: "})
    assert build(folder, tmp_path / "models") == 0
    expected = source(folder)
    models = tmp_path / "models"
    assert least_cosine(served(models), expected.encode(ASKED)) >= FP32
    assert least_cosine(served(models, input_type="query"), expected.encode_query(ASKED)) >= FP32
    assert least_cosine(served(models, input_type="document"), expected.encode_document(ASKED)) >= FP32
    assert least_cosine(served(models, prompt_name="short"), expected.encode(ASKED, prompt_name="short")) >= FP32
    assert least_cosine(served(models), expected.encode(ASKED, prompt="")) < 0.999
    assert "default prompt, 'short'" in described(models).notes[0]


def test_a_model_without_a_default_prompt_has_no_word_of_it_in_its_manifest(folder: Path, tmp_path: Path) -> None:
    assert build(folder, tmp_path / "models") == 0
    assert "default_prompt_name" not in json.loads((tmp_path / "models/tiny.json").read_bytes())


def test_a_copy_of_bge_in_a_folder_has_the_prompt_of_its_card(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = folder.rename(folder.with_name("bge-large-en-v1.5"))
    edit(copy, SENTENCE, prompts={})
    assert build(copy, tmp_path / "models") == 0
    prompt = described(tmp_path / "models", copy.name).prompts["query"]
    assert prompt == "Represent this sentence for searching relevant passages: "
    assert "note: the model's card, not its files, has the prompt 'query'" in capsys.readouterr().out
    queries = served(tmp_path / "models", copy.name, input_type="query")
    assert least_cosine(queries, source(copy).encode(ASKED, prompt=prompt)) >= FP32


@shows("activations beyond fp16's range")
def test_what_overflows_in_fp16_stays_in_fp32(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    for name, factor in (("intermediate", 2.0**24), ("output", 2.0**-24)):
        weights[f"encoder.layer.0.{name}.dense.weight"] *= factor
    weights["encoder.layer.0.intermediate.dense.bias"] *= 2.0**24
    save_file({name: torch.clone(weight) for name, weight in weights.items()}, folder / "model.safetensors")
    assert build(folder, tmp_path / "models", "--precisions", "fp32,fp16,fp16-cuda") == 0
    made = described(tmp_path / "models")
    names: tuple[VariantName, ...] = ("fp16", "fp16-cuda")
    for name in names:
        assert made.variants[name].fidelity.to_source.min >= 0.9999
        assert made.variants[name].passes[-1] == "float16-partly"
        (note,) = (note for note in made.notes if note.startswith(f"{name} computes"))
        assert "in fp32, whose numbers exceed fp16's range: encoder.layer.0.intermediate.dense" in note
        assert "layer.1" not in note


@shows("weights that fp16 rounds too much, or overflow that fp32 parts do not mend")
def test_fp16_of_too_low_fidelity_is_left_out_and_the_rest_is_built(folder: Path, tmp_path: Path) -> None:
    """Also where an earlier build has it: its file, which the new manifest does not list, goes."""
    assert build(folder, tmp_path / "models", "--precisions", "fp32,fp16") == 0
    assert (tmp_path / "models/tiny.fp16.onnx").exists()
    weights = load_file(folder / "model.safetensors")
    for name in ("word", "position", "token_type"):
        weights[f"embeddings.{name}_embeddings.weight"] *= 2.0**-20
    save_file({name: torch.clone(weight) for name, weight in weights.items()}, folder / "model.safetensors")
    assert build(folder, tmp_path / "models", "--precisions", "fp32,fp16") == 0
    made = described(tmp_path / "models")
    assert set(made.variants) == {"fp32"}
    assert made.notes[-1].startswith("fp16 is left out: ")
    assert not (tmp_path / "models/tiny.fp16.onnx").exists()
    assert build(folder, tmp_path / "models") == 0
    assert least_cosine(served(tmp_path / "models"), source(folder).encode(ASKED)) >= FP32


def _null_padding(folder: Path) -> None:
    edit(folder, "config.json", model_type="roberta", pad_token_id=None)


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}", "utf-8")


def _module(folder: Path, **settings: str) -> None:
    edit_modules(folder, lambda entries: entries[1].update(settings))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: edit(folder, POOLING, include_prompt=None), "'include_prompt' is no true or false"),
        pytest.param(
            lambda folder: edit(folder, SENTENCE, default_prompt_name="other"),
            "'other', which is no prompt",
            marks=shows("`default_prompt_name` of no prompt"),
        ),
        (lambda folder: edit(folder, SENTENCE, truncate_dim=8), "ask for `dimensions`"),
        (lambda folder: edit(folder, SENTENCE, Prompts={}), "'Prompts', which is no setting known here"),
        (lambda folder: edit(folder, TRANSFORMER, max_seq_length="64"), "'max_seq_length' is no whole number"),
        (lambda folder: edit(folder, TRANSFORMER, processing_kwargs={"text": {"max_length": 4}}), "cut into tokens"),
        (lambda folder: edit(folder, TRANSFORMER, model_args={"num_hidden_layers": 1}), "'model_args' loads"),
        (lambda folder: edit(folder, "tokenizer_config.json", truncation_side="left"), "only `right` is"),
        (lambda folder: edit(folder, "tokenizer_config.json", split_special_tokens=True), "'split_special_tokens'"),
        (lambda folder: edit(folder, "adapter_config.json"), "an adapter"),
        (lambda folder: _module(folder, type="elsewhere.Pooling"), "needs code of its own"),
        (lambda folder: _module(folder, type="sentence_transformers.models.Normalize"), "then Pooling, then any of"),
        (_null_padding, "'pad_token_id' is null"),
        (_no_tokenizer, "no tokenizer can be made of tokenizer.json"),
    ],
)
def test_what_is_not_carried_is_refused_by_name(folder: Path, refused: Refused, change: Change, said: str) -> None:
    change(folder)
    assert said in refused("--model", folder)


def test_vectors_unlike_the_source_s_are_no_build(
    folder: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Misread the pooling, to test the floor itself."""
    monkeypatch.setattr("build.sentence.pooling.read", lambda *_, **__: Pooling(("mean",)))
    said = refused("--model", folder, "--precisions", "fp32")
    assert "fp32's vectors are not the source's" in said
    assert "the pooling's config.json" in said
