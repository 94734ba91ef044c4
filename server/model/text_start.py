"""Cuts a long text where its tokens are exactly the first tokens of the whole text, for END truncation. Pure.

WordPiece with BERT's pre-tokenizer tokenizes each word separately. A word always ends before white space, ASCII
punctuation and Chinese characters, and no step of the normalizer (removing control characters and accents, lower case)
has an effect across such a character. So a text cut before one has the same tokens up to there as the whole text. Other
tokenizers (byte-level, Metaspace) give no such guarantee, and get whole texts.
"""

import re
import string
from typing import Any

# Characters kept for each token needed: twice the average of English.
CHARACTERS_PER_TOKEN = 8
# How many characters are searched for a boundary; if there is none, the text is not cut.
WINDOW = 1024
# The characters that BERT's normalizer surrounds with spaces: the block of CJK Unified Ideographs.
CHINESE = "\u4e00-\u9fff"


class TextStart:
    """Cuts texts for one tokenizer."""

    def __init__(self, tokenizer: dict[str, Any], max_tokens: int) -> None:
        """`tokenizer` is a parsed `tokenizer.json`; the texts returned usually have at least `max_tokens` tokens."""
        self._characters = CHARACTERS_PER_TOKEN * max_tokens
        self._boundary = _boundary(tokenizer)

    def of(self, text: str) -> str:
        """Return the start of a long text, or the whole text if it is short or cannot be cut exactly."""
        end = self._characters + WINDOW
        if self._boundary is None or len(text) <= end or not _is_unicode(text):
            return text
        boundary = self._boundary.search(text, self._characters, end)
        return text[: boundary.start()] if boundary else text


def _is_unicode(text: str) -> bool:
    """Return whether the whole text is valid Unicode: cutting must not hide an invalid end from the tokenizer."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _boundary(tokenizer: dict[str, Any]) -> re.Pattern[str] | None:
    normalizer, splitter = tokenizer.get("normalizer") or {}, tokenizer.get("pre_tokenizer") or {}
    kinds = tokenizer["model"].get("type"), normalizer.get("type"), splitter.get("type")
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        return None
    # Added tokens such as [SEP] are matched first, so the characters in them are not boundaries.
    reserved = {character for token in tokenizer.get("added_tokens") or [] for character in token["content"]}
    ends = re.escape("".join(sorted(set(" \t\n\r" + string.punctuation) - reserved)))
    return re.compile(f"[{ends}{CHINESE if normalizer.get('handle_chinese_chars') else ''}]")
