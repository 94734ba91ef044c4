"""Long texts in overlapping pieces that the model can read whole."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from server.migrate.errors import MigrateError
from server.model.tokenization import Span

LEAST_TOKENS = 8
# How far back a cut may move to fall between words: this share of a chunk.
SLACK = 8


@dataclass(frozen=True, slots=True)
class Chunking:
    """The most tokens of a chunk, special ones and prompt left out, and how many at least two neighbours share."""

    tokens: int
    overlap: int

    @classmethod
    def parse(cls, value: str) -> "Chunking":
        """Read `tokens:overlap`.

        Raises:
            MigrateError: it is something else, or the overlap is more than half a chunk.
        """
        if not (found := re.fullmatch(r"([0-9]{1,6}):([0-9]{1,6})", value)):
            raise MigrateError(f"--chunk {value}: must be tokens:overlap, such as 256:32")
        tokens, overlap = int(found[1]), int(found[2])
        if tokens < LEAST_TOKENS or overlap > tokens // 2:
            raise MigrateError(
                f"--chunk {value}: a chunk must have at least {LEAST_TOKENS} tokens, and share at most half of them"
            )
        return cls(tokens, overlap)

    def split(self, text: str, spans: Sequence[Span]) -> list[str]:
        """Cut `text` into chunks of the tokens at `spans`; none where there are no tokens."""
        words = [span.word for span in spans]
        return [text[spans[start].start : spans[end - 1].end] for start, end in cut(words, self)]


def cut(words: Sequence[int | None], chunking: Chunking) -> Iterator[tuple[int, int]]:
    """Yield the beginning and end of each chunk in tokens, of which `words` gives the word of each.

    Every token is in a chunk, none holds more than `tokens`, and neighbours share `overlap` or more. Cuts fall
    between words where a word's beginning is near enough.
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
