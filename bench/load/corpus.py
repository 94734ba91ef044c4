"""Texts for the load: of mixed length, all different, and cheap enough to make while others are measured."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

SEED = 21
# All texts of a corpus begin with two words that count them, so they differ up to the square of this.
MOST_WORDS = 2048
# How many endings are prepared; texts share them and differ in their beginnings.
TAILS = 1024
_COUNTING = 2


@dataclass(frozen=True)
class Corpus:
    """Words of one token each, in plain letters, and the endings of texts, each with its leading space."""

    words: tuple[str, ...]
    tails: tuple[str, ...]

    def text(self, number: int) -> str:
        """Return one text; the first `len(words) ** 2` of them are all different."""
        first, second = divmod(number, len(self.words))
        return f"{self.words[first % len(self.words)]} {self.words[second]}{self.tails[number % len(self.tails)]}"


def make(words: Sequence[str], lengths: Sequence[int], affixes: int, seed: int = SEED) -> Corpus:
    """Make texts whose tokens, special ones included, number as `lengths`, again and again in shuffled order.

    Args:
        words: what texts are made of, one token each.
        lengths: tokens of a text; one that two words and the special tokens exceed is exceeded.
        affixes: special tokens around a text.
        seed: the same seed gives the same texts.
    """
    source = random.Random(seed)  # noqa: S311 - no secret hangs on it
    tails: list[str] = []
    while len(tails) < TAILS:
        block = list(lengths)
        source.shuffle(block)
        tails += [_tail(words, length - affixes - _COUNTING, source) for length in block]
    return Corpus(tuple(words), tuple(tails))


def _tail(words: Sequence[str], count: int, source: random.Random) -> str:
    return "".join(f" {source.choice(words)}" for _ in range(count))
