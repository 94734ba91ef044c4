"""Deterministic random workloads of token ids."""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from tokenizers import Tokenizer

SEED = 20
SHORTEST = 4


@dataclass(frozen=True)
class Vocabulary:
    """The special tokens around a text, and all other token ids."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    ordinary: tuple[int, ...]


@dataclass(frozen=True)
class Shape:
    """Number of texts and tokens in each, special tokens included."""

    name: str
    title: str
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Workload:
    """Token ids of the texts of one call."""

    name: str
    title: str
    sequences: tuple[tuple[int, ...], ...]

    @property
    def tokens(self) -> int:
        """Total tokens, without padding."""
        return sum(map(len, self.sequences))

    @property
    def longest(self) -> int:
        """Tokens in the longest text."""
        return max(map(len, self.sequences))

    def json(self) -> dict[str, object]:
        """Return the workload's entry in a report."""
        return {"title": self.title, "texts": len(self.sequences), "tokens": self.tokens, "longest": self.longest}


def lognormal_lengths(count: int, total: int, longest: int) -> list[int]:
    """Return lengths that sum to `total`: quantiles of a log-normal distribution whose maximum is `longest`.

    Raises:
        ValueError: the mean is not between SHORTEST and `longest`.
    """
    if not SHORTEST * count <= total <= longest * count:
        raise ValueError(f"{count} texts of at most {longest} tokens cannot have {total} tokens in all")
    quantiles = [NormalDist().inv_cdf((place + 0.5) / count) for place in range(count)]

    def lengths(sigma: float) -> list[float]:
        return [max(SHORTEST, longest * math.exp(sigma * (z - quantiles[-1]))) for z in quantiles]

    narrow, wide = 0.0, 32.0
    for _ in range(64):
        middle = (narrow + wide) / 2
        narrow, wide = (middle, wide) if sum(lengths(middle)) > total else (narrow, middle)
    return _rounded(lengths(narrow), total)


def _rounded(lengths: list[float], total: int) -> list[int]:
    """Round to integers that sum to `total`, rounding up those with the largest fractions."""
    whole = [math.floor(length) for length in lengths]
    nearest = sorted(range(len(lengths)), key=lambda place: whole[place] - lengths[place])
    for place in nearest[: total - sum(whole)]:
        whole[place] += 1
    return whole


SHAPES = (
    Shape("1x16", "1 text of 16 tokens", (16,)),
    Shape("1x128", "1 text of 128 tokens", (128,)),
    Shape("1x512", "1 text of 512 tokens", (512,)),
    Shape("8x128", "8 texts of 128 tokens", (128,) * 8),
    Shape("8-queries", "8 short queries", tuple(lognormal_lengths(8, 103, 20))),
    Shape("16-mixed", "16 texts of mixed length", tuple(lognormal_lengths(16, 707, 75))),
    Shape("64-mixed", "64 texts of mixed length", tuple(lognormal_lengths(64, 2696, 250))),
)
NAMES = tuple(shape.name for shape in SHAPES)


def make(names: Iterable[str], vocabulary: Vocabulary) -> list[Workload]:
    """Fill the named shapes with tokens; a shape's ids depend only on the vocabulary.

    Raises:
        KeyError: no shape has that name.
    """
    shapes = {shape.name: shape for shape in SHAPES}
    return [fill(shapes[name], vocabulary) for name in names]


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the special tokens and the vocabulary from a `tokenizer.json`."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    empty, word = tokenizer.encode("").ids, tokenizer.encode("a").ids
    start = next((place for place, (one, other) in enumerate(zip(empty, word, strict=False)) if one != other), 0)
    special = set(tokenizer.get_added_tokens_decoder()) | set(empty)
    ordinary = sorted(set(tokenizer.get_vocab().values()) - special)
    return Vocabulary(tuple(empty[:start]), tuple(empty[start:]), tuple(ordinary))


def read_words(path: Path, most: int) -> list[str]:
    """Read at most `most` one-token words of ASCII letters from a `tokenizer.json`; deterministic.

    Raises:
        ValueError: the vocabulary has none.
    """
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    known = sorted(token for token in tokenizer.get_vocab() if token.isascii() and token.isalpha())
    random.Random(SEED).shuffle(known)  # noqa: S311 - not security-relevant
    alone = len(tokenizer.encode("").ids) + 1
    # Some tokens only occur within words, or are split by the pre-tokenizer.
    encoded = tokenizer.encode_batch(known[: 2 * most])
    words = [word for word, encoding in zip(known, encoded, strict=False) if len(encoding.ids) == alone]
    if not words:
        raise ValueError(f"{path} holds no word of plain letters, so no texts can be made")
    return words[:most]


def fill(shape: Shape, vocabulary: Vocabulary) -> Workload:
    """Fill a shape with tokens, deterministically for a vocabulary."""
    # Only `random()` is reproducible for a seed across Python versions.
    source = random.Random(f"{SEED} {shape.name}")  # noqa: S311 - not security-relevant
    lengths = list(shape.lengths)
    source.shuffle(lengths)
    return Workload(shape.name, shape.title, tuple(_text(length, vocabulary, source) for length in lengths))


def _text(length: int, vocabulary: Vocabulary, source: random.Random) -> tuple[int, ...]:
    room = length - len(vocabulary.prefix) - len(vocabulary.suffix)
    words: Sequence[int] = [vocabulary.ordinary[int(source.random() * len(vocabulary.ordinary))] for _ in range(room)]
    return (*vocabulary.prefix, *words, *vocabulary.suffix)
