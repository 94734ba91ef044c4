"""The longest text is as long as sentence-transformers reads it, wherever the folder says so, or the build fails."""

import json
from pathlib import Path

import pytest

from tests import tiny
from tests.build.conftest import Refused
from tests.build.folders import Change, build, described, edit, move_transformer, same_as_source

TRANSFORMER = "sentence_bert_config.json"
TOKENIZER = "tokenizer_config.json"
# What transformers writes for a tokenizer without a limit.
NO_LIMIT = 1000000000000000019884624838656
shows = pytest.mark.shows


def _length(folder: Path, own: int | None, tokenizer: object = NO_LIMIT) -> None:
    (folder / TRANSFORMER).unlink()
    if own is not None:
        edit(folder, TRANSFORMER, max_seq_length=own)
    edit(folder, TOKENIZER, model_max_length=tokenizer)


def _beside_another_module(folder: Path) -> None:
    _length(folder, None)
    edit(folder, "2_Normalize/" + TRANSFORMER, max_seq_length=16)


def _outside_the_transformer_s_folder(folder: Path) -> None:
    move_transformer(folder)
    edit(folder, TRANSFORMER, max_seq_length=16)


@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        pytest.param(lambda folder: _length(folder, 20), 20, marks=shows("`max_seq_length`")),
        pytest.param(lambda folder: _length(folder, None, 20), 20, marks=shows("no `max_seq_length`")),
        pytest.param(
            lambda folder: _length(folder, None),
            66,
            marks=shows("no limit: `model_max_length` of about 1e30, or null"),
        ),
        (lambda folder: _length(folder, None, None), 66),
        (lambda folder: _length(folder, 20, 20.5), 20),
        pytest.param(
            lambda folder: _length(folder, 66, 16), 66, marks=shows("`max_seq_length` and another `model_max_length`")
        ),
        pytest.param(_beside_another_module, 66, marks=shows("a length in the folder of another module")),
        (_outside_the_transformer_s_folder, 64),
    ],
)
def test_the_limit_is_the_source_s(folder: Path, tmp_path: Path, change: Change, tokens: int) -> None:
    change(folder)
    assert build(folder, tmp_path / "models") == 0
    assert described(tmp_path / "models").max_tokens == tokens
    same_as_source(folder, tmp_path / "models")


@shows("longer than the position table")
@shows("positions that begin after the padding token's (RoBERTa, XLM-R, MPNet and others)")
@pytest.mark.parametrize(
    ("architecture", "own", "rows", "tokens"),
    [("bert", 512, 66, 66), ("roberta", None, 66, 64), ("xlm-roberta", 66, 66, 64), ("mpnet", 514, 514, 512)],
)
def test_no_text_is_longer_than_the_positions(
    tmp_path: Path, architecture: str, own: int | None, rows: int, tokens: int
) -> None:
    padding = {"bert": 0}.get(architecture, 1)
    folder = tiny.snapshot(
        tmp_path / "source/tiny", architecture, "mean", max_position_embeddings=rows, pad_token_id=padding
    )
    _length(folder, own)
    assert build(folder, tmp_path / "models") == 0
    assert described(tmp_path / "models").max_tokens == tokens
    # sentence-transformers itself fails at a text that its position table does not reach.
    same_as_source(folder, tmp_path / "models", longest=tokens)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            lambda folder: edit(folder, "1_Pooling/config.json", max_seq_length=16),
            "'max_seq_length', which is no setting known here",
            marks=shows("a length in another module's settings"),
        ),
        pytest.param(
            lambda folder: edit(folder, "config_sentence_transformers.json", max_seq_length=16),
            "'max_seq_length', which is no setting known here",
        ),
        pytest.param(
            lambda folder: _length(folder, None, 20.0),
            "'model_max_length' is 20.0, and should be a whole number",
            marks=shows("a length that is no whole number"),
        ),
        pytest.param(
            lambda folder: _length(folder, 2),
            "adds 2 special tokens, the model reads 2 tokens",
            marks=shows("no room for a token beside the special ones"),
        ),
        pytest.param(
            lambda folder: edit(folder, "config_sentence_transformers.json", prompts={"query": "the cat " * 32}),
            "the prompt 'query' takes 66 of the 64 tokens",
            marks=shows("a prompt that leaves no room for a text"),
        ),
        pytest.param(lambda folder: _length(folder, 8), "the prompt 'query' takes 9 of the 8 tokens"),
    ],
)
def test_it_is_refused(folder: Path, refused: Refused, change: Change, said: str) -> None:
    change(folder)
    assert said in refused("--model", folder)


def test_a_prompt_that_leaves_room_for_one_token(folder: Path, tmp_path: Path) -> None:
    _length(folder, 10)
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")


@pytest.mark.parametrize(
    ("prompts", "default"),
    [
        pytest.param({"query": "dog: ", "document": "the cat: "}, "document", marks=shows("`default_prompt_name`")),
        pytest.param({"own": "dog: "}, "query", marks=shows("`default_prompt_name` of a prompt that is empty")),
    ],
)
def test_a_default_prompt(folder: Path, tmp_path: Path, prompts: dict[str, str], default: str) -> None:
    settings = {"prompts": prompts, "default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings), "utf-8")
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")
