import re
import sys

import pytest

from server.model.artifact import Artifact
from server.model.tokenization import Tokenizer
from server.service.blank_text import PATTERN, has_visible
from tests.conftest import STRIDE
from tests.unit.server import tiny

HIDDEN = [
    "",
    " \n\t",
    "\0",
    "\u200d\u200b",
    "\u0301",
    "\u20dd",
    "\ufffd",
    "\ue000",
    "\u3000",
    "\U000e0020",
    "\U0010ffff",
]
SHOWN = ["a", " é", "\0!", "漢", "👩\u200d👧", "\u0301a", "\U0001fae9", "\U00020000", "\u0378"]


@pytest.mark.parametrize("text", HIDDEN)
def test_blank_and_invisible_texts_hold_nothing(text: str) -> None:
    assert not has_visible(text)


@pytest.mark.parametrize("text", SHOWN)
def test_one_visible_character_is_enough(text: str) -> None:
    assert has_visible(text)


def test_the_pattern_that_is_published_says_the_same_of_every_character() -> None:
    shown = re.compile(PATTERN).search
    codes = (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE1000), 0xEFFFF, 0xF0000, sys.maxunicode)
    characters = map(chr, codes[::STRIDE])
    assert not [character for character in characters if has_visible(character) is not bool(shown(character))]


def test_what_is_visible_gives_tokens(artifact: Artifact) -> None:
    tokenizer = Tokenizer(artifact.tokenizer_path, tiny.MAX_TOKENS)
    # Planes 0 and 1; the ideographs of planes 2 and 3 behave alike.
    shown = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000 and re.match(PATTERN, chr(code))]
    assert len(shown) > 100_000
    assert all(encoded.tokens > 2 for encoded in tokenizer.encode(shown[::STRIDE]))
