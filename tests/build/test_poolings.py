"""Every way of pooling that sentence-transformers has is served as it computes it, for texts, queries and long ones."""

from pathlib import Path

import numpy as np
import pytest

from build.floors import FP32
from server.model.manifest import PACKED
from tests import tiny
from tests.build.folders import ASKED, build, described, edit, least_cosine, same_as_source, served, source

POOLING = "1_Pooling/config.json"
shows = pytest.mark.shows
ALL = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
FLAGS = ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]


def only(flag: str) -> dict[str, bool]:
    return {f"pooling_mode_{name}": name == flag for name in FLAGS}


@shows("`cls`")
@shows("`max`")
@shows("`mean`")
@shows("`mean_sqrt_len_tokens`")
@shows("`weightedmean`")
@shows("`lasttoken`")
@pytest.mark.parametrize(("flag", "mode"), list(zip(FLAGS, ALL, strict=True)), ids=ALL)
def test_each_mode_by_its_flag(folder: Path, tmp_path: Path, flag: str, mode: str) -> None:
    edit(folder, POOLING, **only(flag))
    assert build(folder, tmp_path / "models", "--precisions", "fp32,fp16,int8,int8-static,fp32-cuda,fp16-cuda") == 0
    same_as_source(folder, tmp_path / "models")
    made = described(tmp_path / "models")
    assert made.pooling == mode
    assert set(made.variants) == {"fp32", "fp16", "int8", "int8-static", "fp32-cuda", "fp16-cuda"}
    assert PACKED in made.variants["fp32"].passes


@shows("several")
@pytest.mark.parametrize("modes", [["mean", "max"], ["lasttoken", "mean", "cls", "weightedmean"], ["weightedmean"]])
def test_modes_by_their_words_and_side_by_side(folder: Path, tmp_path: Path, modes: list[str]) -> None:
    edit(folder, POOLING, **only("none"), pooling_mode=modes if len(modes) > 1 else modes[0])
    assert build(folder, tmp_path / "models", "--precisions", "fp32,fp16,int8,fp16-cuda") == 0
    same_as_source(folder, tmp_path / "models")
    made = described(tmp_path / "models")
    assert (made.pooling, made.dimension) == ("+".join(modes), 32 * len(modes))


@pytest.mark.parametrize("mode", ALL)
def test_a_prompt_that_is_not_to_be_pooled(folder: Path, tmp_path: Path, mode: str) -> None:
    edit(folder, POOLING, **only("none"), pooling_mode=mode, include_prompt=False)
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")
    # The source counts [SEP] too, which the tokenizer's settings do not call a special token.
    assert described(tmp_path / "models").unpooled == {"query": 9}
    edit(folder, "tokenizer_config.json", sep_token="[SEP]", cls_token="[CLS]")
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")
    assert described(tmp_path / "models").unpooled == {"query": 8}


def test_such_a_default_prompt_and_another_model(tmp_path: Path) -> None:
    folder, models = (
        tiny.snapshot(tmp_path / "source" / "tiny", "xlm-roberta", "mean", pad_token_id=1),
        tmp_path / "models",
    )
    settings = {"prompts": {"query": "the query: ", "short": "dog"}, "default_prompt_name": "short"}
    edit(folder, "config_sentence_transformers.json", **settings)
    edit(folder, POOLING, include_prompt=False)
    assert build(folder, models, "--precisions", "fp32,int8") == 0
    same_as_source(folder, models)
    expected = source(folder)
    assert least_cosine(served(models, prompt_name="short"), expected.encode(ASKED, prompt_name="short")) >= FP32
    assert least_cosine(served(models, input_type="document"), expected.encode_document(ASKED)) >= FP32
    assert PACKED in described(models).variants["fp32"].passes


def test_a_prompt_out_of_the_pooling_is_not_the_same_text_written_out(folder: Path, tmp_path: Path) -> None:
    edit(folder, POOLING, **only("mean_tokens"), include_prompt=False)
    assert build(folder, tmp_path / "models") == 0
    models = tmp_path / "models"
    prompted = served(models, texts=["the cat"], input_type="query")
    written = served(models, texts=["the query: the cat"])
    assert float((prompted * written).sum()) < 0.999
    assert np.array_equal(written, served(models, texts=["the query: the cat"], input_type="document"))
