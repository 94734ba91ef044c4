"""The start of a text, cut where its tokens are exactly the first of the whole text's: what END truncation needs. Pure.

WordPiece behind BERT's pre-tokenizer sees each word by itself. Words end before white space, ASCII punctuation and
Chinese characters, whatever surrounds those: none of the normalizer's steps (removing control characters and accents,
lower case) reaches over one of them to what is before it. So a text cut before such a character has the tokens of the
whole up to there. Other tokenizers (byte-level, Metaspace) promise nothing of the kind, and get whole texts.
"""

import re
import string
from typing import Any

# Characters given for each token wanted: twice what English takes.
CHARACTERS_PER_TOKEN = 8
# How far a place to cut is looked for; without one the text is given whole.
WINDOW = 1024
# What BERT's normalizer puts spaces around: the block of CJK Unified Ideographs.
CHINESE = "\u4e00-\u9fff"


class TextStart:
    """Finds such starts for one tokenizer."""

    def __init__(self, tokenizer: dict[str, Any], max_tokens: int) -> None:
        """`tokenizer` is a parsed `tokenizer.json`; starts hold about `max_tokens` or more."""
        self._characters = CHARACTERS_PER_TOKEN * max_tokens
        self._boundary = _boundary(tokenizer)

    def of(self, text: str) -> str:
        """Return the start of a long text, or the whole of it where it is short or cannot be cut exactly."""
        end = self._characters + WINDOW
        if self._boundary is None or len(text) <= end or not _is_unicode(text):
            return text
        found = self._boundary.search(text, self._characters, end)
        return text[: found.start()] if found else text


def _is_unicode(text: str) -> bool:
    """Whether the tokenizer would take it: what is wrong with its end must not go unseen."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _boundary(tokenizer: dict[str, Any]) -> re.Pattern[str] | None:
    normalizer, splitter = tokenizer.get("normalizer") or {}, tokenizer.get("pre_tokenizer") or {}
    kinds = tokenizer["model"].get("type"), normalizer.get("type"), splitter.get("type")
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        return None
    # Tokens such as [SEP] are found before all else, and one of them may lie across any character that it holds.
    reserved = {character for token in tokenizer.get("added_tokens") or [] for character in token["content"]}
    ends = re.escape("".join(sorted(set(" \t\n\r" + string.punctuation) - reserved)))
    return re.compile(f"[{ends}{CHINESE if normalizer.get('handle_chinese_chars') else ''}]")
