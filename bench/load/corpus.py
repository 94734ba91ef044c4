"""Distinct texts of mixed length for load tests, cheap enough to generate during the measurement."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

SEED = 21
# Each text starts with two words that encode its number, so there are this many squared distinct texts.
MOST_WORDS = 2048
# Number of prepared endings, which texts reuse.
TAILS = 1024
_COUNTING = 2


@dataclass(frozen=True)
class Corpus:
    """One-token words of ASCII letters, and endings of texts, each with a leading space."""

    words: tuple[str, ...]
    tails: tuple[str, ...]

    def text(self, number: int) -> str:
        """Return text `number`; the first `len(words) ** 2` are distinct."""
        first, second = divmod(number, len(self.words))
        return f"{self.words[first % len(self.words)]} {self.words[second]}{self.tails[number % len(self.tails)]}"


def make(words: Sequence[str], lengths: Sequence[int], affixes: int, seed: int = SEED) -> Corpus:
    """Return a corpus whose texts have the token counts `lengths`, repeated in shuffled order.

    Args:
        words: vocabulary, one token each.
        lengths: token counts, special tokens included; texts have at least two words whatever the length.
        affixes: number of special tokens around a text.
        seed: seed of the random generator.
    """
    source = random.Random(seed)  # noqa: S311 - not security-relevant
    tails: list[str] = []
    while len(tails) < TAILS:
        block = list(lengths)
        source.shuffle(block)
        tails += [_tail(words, length - affixes - _COUNTING, source) for length in block]
    return Corpus(tuple(words), tuple(tails))


def _tail(words: Sequence[str], count: int, source: random.Random) -> str:
    return "".join(f" {source.choice(words)}" for _ in range(count))
