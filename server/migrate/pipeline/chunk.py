"""Splits long texts into overlapping chunks that fit the model."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from server.migrate.errors import MigrateError
from server.model.tokenization import Span

LEAST_TOKENS = 8
# A cut may move back by up to 1/SLACK of a chunk to fall on a word boundary.
SLACK = 8


@dataclass(frozen=True, slots=True)
class Chunking:
    """The maximum tokens of a chunk, without special tokens and prompt, and the minimum overlap of two neighbours."""

    tokens: int
    overlap: int

    @classmethod
    def parse(cls, value: str) -> "Chunking":
        """Read `tokens:overlap`.

        Raises:
            MigrateError: it is malformed, or the overlap is more than half a chunk.
        """
        if not (match := re.fullmatch(r"([0-9]{1,6}):([0-9]{1,6})", value)):
            raise MigrateError(f"--chunk {value}: must be tokens:overlap, such as 256:32")
        tokens, overlap = int(match[1]), int(match[2])
        if tokens < LEAST_TOKENS or overlap > tokens // 2:
            raise MigrateError(
                f"--chunk {value}: a chunk must have at least {LEAST_TOKENS} tokens, and share at most half of them"
            )
        return cls(tokens, overlap)

    def split(self, text: str, spans: Sequence[Span]) -> list[str]:
        """Split `text`, whose tokens are at `spans`, into chunks; return none if there are no tokens."""
        words = [span.word for span in spans]
        return [text[spans[start].start : spans[end - 1].end] for start, end in cut(words, self)]


def cut(words: Sequence[int | None], chunking: Chunking) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each chunk, as token positions; `words` gives the word of each token.

    Every token is in a chunk, no chunk has more than `tokens`, and neighbours share `overlap` or more. A cut moves back
    to a word boundary if one is near enough.
    """
    slack = chunking.tokens // SLACK
    start = end = 0
    while end < len(words):
        end = _between_words(words, start + chunking.tokens, slack)
        yield start, end
        start = _between_words(words, end - chunking.overlap, slack)


def _between_words(words: Sequence[int | None], position: int, slack: int) -> int:
    if position >= len(words):
        return len(words)
    nearest = (place for place in range(position, position - slack - 1, -1) if place > 0)
    return next((place for place in nearest if words[place] is None or words[place] != words[place - 1]), position)
