"""Odd settings together: each folder has one of every kind, and is served as sentence-transformers has it."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import LayerNorm, Normalize
from torch import nn

from build.floors import FP32
from tests import tiny
from tests.build.folders import (
    ASKED,
    build,
    cast,
    described,
    edit,
    least_cosine,
    move_transformer,
    same_as_source,
    source,
)
from tests.serving import serve

POOLING = "1_Pooling/config.json"
ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "electra", "albert")
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
SEEDS = 8
Choose = random.Random


def _model(folder: Path, chance: Choose) -> None:
    architecture = chance.choice(ARCHITECTURES)
    padding = 1 if architecture in ("roberta", "xlm-roberta", "mpnet") else 0
    tiny.snapshot(folder, architecture, "mean", pad_token_id=padding)
    modes = chance.sample(MODES, chance.choice((1, 1, 2, 3)))
    edit(folder, POOLING, pooling_mode=modes, include_prompt=chance.random() < 0.5)


def _layers(folder: Path, chance: Choose) -> None:
    loaded = source(folder)
    width = 32 * len(json.loads((folder / POOLING).read_text("utf-8"))["pooling_mode"])
    kinds: tuple[Callable[[], list[nn.Module]], ...] = (
        list,
        lambda: [Normalize()],
        lambda: [Dense(width, 24, activation_function=nn.Tanh()), LayerNorm(24)],
        lambda: [Normalize(), Dense(width, 40, bias=False, activation_function=nn.Identity()), Normalize()],
    )
    after = chance.choice(kinds)()
    shutil.rmtree(folder)
    SentenceTransformer(modules=[loaded[0], loaded[1], *after], prompts=loaded.prompts).save(str(folder))


def _prompts(folder: Path, chance: Choose) -> None:
    prompts = chance.choice(({}, {"query": "the query: "}, {"query": "dog: ", "document": "the É cat [SEP] "}))
    default = chance.choice((None, *prompts))
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": prompts, "default_prompt_name": default}), "utf-8"
    )


def _lengths(folder: Path, chance: Choose) -> None:
    own, tokenizer = chance.choice((None, 24, 64)), chance.choice((24, 64, 10**30))
    (folder / "sentence_bert_config.json").write_text(json.dumps({} if own is None else {"max_seq_length": own}))
    edit(folder, "tokenizer_config.json", model_max_length=tokenizer)


def _weights(folder: Path, chance: Choose) -> None:
    cast(folder, chance.choice((torch.float32, torch.bfloat16, torch.float16)))


def _layout(folder: Path, chance: Choose) -> None:
    if chance.random() < 0.5:
        move_transformer(folder)


def odd(folder: Path, seed: int) -> Path:
    """Write a model whose settings are drawn by `seed`."""
    chance = Choose(seed)
    for change in (_model, _layers, _prompts, _lengths, _weights, _layout):
        change(folder, chance)
    return folder


@pytest.mark.parametrize("seed", range(SEEDS))
def test_odd_settings_together(tmp_path: Path, seed: int) -> None:
    folder = odd(tmp_path / "source" / "tiny", seed)
    assert build(folder, tmp_path / "models", "--precisions", "fp32,int8,fp16-cuda") == 0
    made = described(tmp_path / "models")
    same_as_source(folder, tmp_path / "models", longest=made.max_tokens)


def test_a_real_server_of_odd_settings(tmp_path: Path) -> None:
    """Prompts of the request, or the model's default; a prompt that is not pooled; layers; a folder of its own."""
    folder = tiny.snapshot(tmp_path / "source" / "mein Modell ü", "xlm-roberta", "mean", pad_token_id=1)
    edit(folder, POOLING, pooling_mode=["max", "mean"], include_prompt=False)
    loaded = source(folder)
    dense = Dense(64, 24, activation_function=nn.GELU())
    shutil.rmtree(folder)
    SentenceTransformer(modules=[loaded[0], loaded[1], dense, LayerNorm(24)]).save(str(folder))
    prompts = {"query": "the query: ", "document": "dog: ", "own": "É [MASK] "}
    settings = {"prompts": prompts, "default_prompt_name": "document"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings), "utf-8")
    move_transformer(folder)
    assert build(folder, tmp_path / "models") == 0
    expected = source(folder)
    with serve(model="mein-Modell", models_dir=tmp_path / "models", quantization="fp32") as served:
        for asked, encoded in (
            ({}, expected.encode(ASKED)),
            ({"input_type": "query"}, expected.encode_query(ASKED)),
            ({"input_type": "document"}, expected.encode_document(ASKED)),
            ({"prompt_name": "own"}, expected.encode(ASKED, prompt_name="own")),
        ):
            assert least_cosine(np.array(served.embed(ASKED, **asked), np.float32), encoded) >= FP32
