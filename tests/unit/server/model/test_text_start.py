import json
import string
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from server.model import tokenization
from server.model.text_start import CHARACTERS_PER_TOKEN, WINDOW, TextStart
from server.model.tokenization import Tokenizer
from tests.conftest import EXAMPLES

MAX_TOKENS = 8
SHORTEST_CUT = CHARACTERS_PER_TOKEN * MAX_TOKENS + WINDOW
# Accents, combining marks, removed characters, BERT's punctuation, all kinds of whitespace, CJK, letters whose lower
# case depends on context, and parts of special tokens.
ALPHABET = [
    *(string.ascii_letters + string.punctuation + string.digits),
    *(
        "\u0301",
        "\u0308",
        "\u20dd",
        "\u200d",
        "\u00ad",
        "\x00",
        "\x1f",
        "\u2028",
        "\u00a0",
        "\u3000",
        "\t",
        "\n",
        "\r",
        " ",
    ),
    *("\u6f22", "\u5b57", "\u3042", "\uac00", "\u1100", "\u1161", "\U00020000", "\U0001f600", "\U0001f1e9", "\ufe0f"),
    *("\u03a3", "\u0130", "\u00c5", "\ufb01", "\u00df", "\u1e9e", "\u2026", "\uff01", "\u3002", "\u060c", "\u05d0"),
    *(
        "[SEP]",
        "[CLS]",
        "[",
        "]",
        "##a",
        "the ",
        "cat ",
        " sat",
        "e\u0301",
        "a\u0328\u0301",
        "!" * 40,
        "\u6f22" * 40,
        "\u0301" * 40,
    ),
]
TEXTS = st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=60).map("".join)


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece tokenizer with every character of the alphabet, at the start of a word and inside."""
    letters = sorted({character for piece in ALPHABET for character in piece} | set("abcdefghijklmnopqrstuvwxyz"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "##at", *letters, *(f"##{one}" for one in letters)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=request.param)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens(["[SEP]", "[CLS]", "[PAD]", "[UNK]"])
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(file))
    return file


@settings(max_examples=min(40, EXAMPLES))
@given(unit=TEXTS, tail=TEXTS)
def test_the_ids_are_those_of_the_whole_text_cut_afterwards(path: Path, unit: str, tail: str) -> None:
    whole = tokenizers.Tokenizer.from_file(str(path))
    text = unit * (1 + 2 * SHORTEST_CUT // len(unit)) + tail
    ids = whole.encode(text).ids
    if len(ids) <= MAX_TOKENS:
        return
    for prompt in ("", "the cat: "):
        tokens = whole.encode(prompt + text).ids
        (encoded,) = Tokenizer(path, MAX_TOKENS).encode([text], prompt)
        assert encoded.ids == [*tokens[: MAX_TOKENS - 1], tokens[-1]]
        assert encoded.truncated


@given(text=TEXTS, at=st.integers(0, 100))
def test_the_tokens_of_a_start_are_the_first_of_the_whole(path: Path, text: str, at: int) -> None:
    whole = tokenizers.Tokenizer.from_file(str(path))
    start = TextStart(json.loads(path.read_text()), MAX_TOKENS)
    start._characters = min(at, len(text))
    assert start._boundary
    boundary = start._boundary.search(text, start._characters)
    head = text[: boundary.start()] if boundary else text
    ids = whole.encode(head, add_special_tokens=False).ids
    assert whole.encode(text, add_special_tokens=False).ids[: len(ids)] == ids


def test_a_long_text_is_cut_at_punctuation_white_space_and_chinese(path: Path) -> None:
    start = TextStart(json.loads(path.read_text()), MAX_TOKENS)
    for unit in ("!", "cat ", "\u6f22"):
        assert len(start.of(unit * 2 * SHORTEST_CUT)) < SHORTEST_CUT
    for unit in ("a", "[SEP]"[1:4]):
        assert len(start.of(unit * SHORTEST_CUT)) == len(unit) * SHORTEST_CUT
    assert len(start.of("cat " * SHORTEST_CUT + "\ud800")) > SHORTEST_CUT


def test_other_tokenizers_get_whole_texts(path: Path) -> None:
    parsed: dict[str, Any] = json.loads(path.read_text())
    for change in ({"normalizer": None}, {"pre_tokenizer": {"type": "Metaspace"}}, {"model": {"type": "BPE"}}):
        assert TextStart(parsed | change, MAX_TOKENS).of("a " * SHORTEST_CUT) == "a " * SHORTEST_CUT


def test_texts_of_which_little_is_left_are_read_to_their_end(path: Path) -> None:
    tokenizer = Tokenizer(path, MAX_TOKENS)
    mostly_nothing = "\x00 " * SHORTEST_CUT + "the cat"
    (encoded,) = tokenizer.encode([mostly_nothing])
    assert (encoded.tokens, encoded.truncated) == (4, False)


def test_long_texts_are_tokenized_few_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenization, "SLICE_CHARACTERS", 100)
    tokenizer = Tokenizer(path, MAX_TOKENS)
    sizes: list[int] = []
    encode = tokenizer._encode_slice

    def noted(texts: list[str], first: int = 0) -> list[list[int]]:
        sizes.append(sum(map(len, texts)))
        return encode(texts, first)

    monkeypatch.setattr(tokenizer, "_encode_slice", noted)
    texts = ["the cat " * count for count in (1, 5, 20, 1, 12, 1, 1)]
    together = tokenizer.encode(texts)
    assert max(sizes) == 8 * 20
    assert len(sizes) > 2
    assert together == [tokenizer.encode([text])[0] for text in texts]
