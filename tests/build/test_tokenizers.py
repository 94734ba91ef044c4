"""The tokenizer that is served is the one that transformers makes of the folder's files, whichever they are."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from tests import tiny
from tests.build.conftest import Refused
from tests.build.folders import ASKED, TEXTS, Change, build, described, edit, same_as_source

SETTINGS = "tokenizer_config.json"
WORDS = [
    *TEXTS.replace('"', "").splitlines(),
    *ASKED,
    *(chr(code) * 2 + " " + chr(code) for code in range(33, 127)),
] * 3
shows = pytest.mark.shows


def _vocabulary(folder: Path) -> None:
    """Leave vocab.txt of the tokenizer's files."""
    ids = tiny.tokenizer().get_vocab()
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in sorted(ids, key=ids.__getitem__)), "utf-8")
    (folder / SETTINGS).write_text(json.dumps({"tokenizer_class": "BertTokenizer"}), "utf-8")


def _vocabulary_of_no_class(folder: Path) -> None:
    _vocabulary(folder)
    (folder / SETTINGS).unlink()


def _vocabulary_with_case(folder: Path) -> None:
    _vocabulary(folder)
    edit(folder, SETTINGS, do_lower_case=False, strip_accents=False)


def _padding_of_the_tokenizer_s_own(folder: Path) -> None:
    settings = json.loads((folder / SETTINGS).read_text("utf-8"))
    del settings["pad_token"]
    (folder / SETTINGS).write_text(json.dumps(settings), "utf-8")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_vocabulary, marks=shows("`vocab.txt` alone")),
        _vocabulary_of_no_class,
        _vocabulary_with_case,
        _padding_of_the_tokenizer_s_own,
        lambda folder: edit(folder, "config.json", pad_token_id=None),
    ],
)
def test_it_is_served_as_sentence_transformers_has_it(folder: Path, tmp_path: Path, change: Change) -> None:
    change(folder)
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")


ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
DEBERTA = {
    **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
    **{"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"},
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # by DeBERTa in transformers
@shows("SentencePiece alone (`sentencepiece.bpe.model`, `spiece.model`, `spm.model`)")
@pytest.mark.parametrize(
    ("architecture", "cls", "name", "padding", "trained"),
    [
        ("xlm-roberta", "XLMRobertaTokenizer", "sentencepiece.bpe.model", 1, {}),
        ("albert", "AlbertTokenizer", "spiece.model", 0, ALBERT),
        ("deberta-v2", "DebertaV2Tokenizer", "spm.model", 0, DEBERTA),
    ],
)
def test_sentencepiece(
    tmp_path: Path, architecture: str, cls: str, name: str, padding: int, trained: dict[str, Any]
) -> None:
    folder = tiny.snapshot(tmp_path / "source/tiny", architecture, "mean", vocab_size=400, pad_token_id=padding)
    (folder / "tokenizer.json").unlink()
    with (folder / name).open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(WORDS),
            model_writer=model,
            vocab_size=150,
            hard_vocab_limit=False,
            minloglevel=2,
            **trained,
        )
    (folder / SETTINGS).write_text(json.dumps({"tokenizer_class": cls}), "utf-8")
    assert build(folder, tmp_path / "models") == 0
    assert name in described(tmp_path / "models").source.files
    same_as_source(folder, tmp_path / "models")


def _added(folder: Path, name: str = "extraordinary") -> None:
    made = tiny.tokenizer()
    made.add_tokens([name])
    made.save(str(folder / "tokenizer.json"))


def _added_by_the_settings(folder: Path) -> None:
    token = {"content": "extraordinary", "special": False} | dict.fromkeys(("lstrip", "rstrip", "normalized"), False)
    edit(folder, SETTINGS, added_tokens_decoder={"147": {**token, "single_word": False}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(
            lambda folder: edit(folder, SETTINGS, pad_token=None),
            "name one of the tokenizer's tokens as `pad_token` in tokenizer_config.json",
            marks=shows("no padding token, or null"),
        ),
        pytest.param(
            _added, "'extraordinary' with id 147", marks=shows("an added token beyond the model's embedding table")
        ),
        pytest.param(_added_by_the_settings, "'extraordinary' with id 147"),
        pytest.param(lambda folder: edit(folder, SETTINGS, pad_token="<nope>"), "'<nope>' with id 147"),
        pytest.param(
            lambda folder: edit(folder, "added_tokens.json", extraordinary=147), "'extraordinary' with id 147"
        ),
        pytest.param(
            lambda folder: (folder / "tokenizer.json").unlink(),
            "no tokenizer can be made of",
            marks=shows("files of which transformers makes no fast tokenizer"),
        ),
    ],
)
def test_it_is_refused_with_a_way_out(folder: Path, refused: Refused, change: Change, said: str) -> None:
    change(folder)
    assert said in refused("--model", folder)


@shows("added tokens within the embedding table")
def test_an_added_token_within_the_table(tmp_path: Path) -> None:
    folder = tiny.snapshot(tmp_path / "source/tiny", vocab_size=160)
    _added(folder, "river contract")
    assert build(folder, tmp_path / "models") == 0
    same_as_source(folder, tmp_path / "models")
