"""Text to token ids: the model's own tokenizer, with truncation that keeps the special tokens where they belong."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import tokenizers

from server.errors import InvalidError, StartError
from server.model.text_start import TextStart

Truncation = Literal["END", "START", "NONE"]
# Texts, or texts that the caller has tokenized, special tokens included; never a mixture.
Inputs = list[str] | list[list[int]]

# The field of texts and token ids, by its name in OpenAI's API.
PARAM = "input"
# Below this many characters starting the tokenizer's thread pool gains nothing (measured: 8 texts of 250 characters
# take the same time either way, 64 of them half the time in parallel). Above, only the calls for batches may be used:
# the one for a single text keeps Python's other threads from running, the event loop's among them.
PARALLEL_CHARACTERS = 4096
# Requests whose texts are tokenized at the same time.
WORKERS = 2
# What is tokenized at once, unless one text is longer. Until it is cut, a text takes up to `BYTES_PER_CHARACTER` (one
# token each, with its offsets, its name and what it was made from).
SLICE_CHARACTERS = 65_536
BYTES_PER_CHARACTER = 704


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as token ids, special tokens included; `tokens` counts them before truncation.

    Of a text far too long they may be counted only so far as to know that.
    """

    ids: list[int]
    tokens: int

    @property
    def truncated(self) -> bool:
        """Whether tokens were cut off."""
        return len(self.ids) < self.tokens


@dataclass(frozen=True, slots=True)
class Pieces:
    """One text cut into tokens, none left out: ids, the tokens' own names, character offsets, and which are special.

    `words` says which word of the text each is a part of, None for those of no word.
    """

    text: str
    ids: list[int]
    names: list[str]
    offsets: list[tuple[int, int]]
    special: list[int]
    words: list[int | None]


class Span(NamedTuple):
    """Where a token lies in its text, in characters, and the word that it is a part of (None where there is none)."""

    start: int
    end: int
    word: int | None


class Tokenizer:
    """Encodes texts for one model. Blocking: run it in a worker thread."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        """Load a `tokenizer.json`; `max_tokens` is the model's limit, special tokens included.

        Raises:
            StartError: the file is not a tokenizer, or wraps texts in a way that truncation could not keep.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 - the library raises bare Exception
            raise StartError(f"{path} is not a tokenizer: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = max_tokens
        self.vocabulary_size: int = self._tokenizer.get_vocab_size()
        self.prefix, self.suffix = self._special_tokens(path)
        self._start = TextStart(json.loads(self._tokenizer.to_str()), max_tokens)
        self._large = threading.RLock()

    def encode(self, inputs: Inputs, prompt: str = "", truncate: Truncation = "END") -> list[Encoded]:
        """Encode texts, or take the caller's token ids, each with `prompt` before it.

        END keeps the head of a text that is too long, START its tail; the prompt stays in both, since a text
        without its instruction would be another kind of text.

        Raises:
            InvalidError: a text holds nothing to embed or a lone surrogate, or is too long and `truncate` is NONE;
                or token ids are not this tokenizer's.
        """
        return list(self.encode_each(inputs, prompt, truncate))

    def encode_each(self, inputs: Inputs, prompt: str = "", truncate: Truncation = "END") -> Iterator[Encoded]:
        """Do the same one by one, so that no more than a few texts' tokens are in memory before they are cut."""
        prompt_ids = self._content(self._encode_slice([prompt])[0]) if prompt else []
        for index, ids in enumerate(self._untruncated(inputs, prompt, prompt_ids, truncate)):
            yield self._fit(index, ids, prompt_ids, truncate)

    def spans(self, text: str) -> list[Span]:
        """Return where each token of `text` lies, special tokens left out.

        Raises:
            InvalidError: the text holds a lone surrogate.
        """
        pieces = self.split(text, special=False)
        return [Span(start, end, word) for (start, end), word in zip(pieces.offsets, pieces.words, strict=True)]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other thread tokenize much text during the block, so that the memory for it is bounded."""
        with self._large:
            yield

    def split(self, text: str, special: bool = True) -> Pieces:
        """Cut a text into tokens without truncation, the special ones around it if `special`.

        Raises:
            InvalidError: the text holds a lone surrogate.
        """
        try:
            if len(text) < PARALLEL_CHARACTERS:
                found = self._tokenizer.encode(text, add_special_tokens=special)
            else:
                (found,) = self._tokenizer.encode_batch([text], add_special_tokens=special)
        except TypeError:
            raise InvalidError(_describe_surrogate([text]), param=PARAM) from None
        return Pieces(text, found.ids, found.tokens, found.offsets, found.special_tokens_mask, found.word_ids)

    def _untruncated(
        self, inputs: Inputs, prompt: str, prompt_ids: list[int], truncate: Truncation
    ) -> Iterator[list[int]]:
        """Yield the ids of each input, or as many of them as truncation needs."""
        texts = [text for text in inputs if isinstance(text, str)]
        for part in _slices(texts):
            whole = [prompt + text for text in texts[part]]
            starts = [self._start.of(text) for text in whole] if truncate == "END" else whole
            for text, start, ids in zip(whole, starts, self._encode_slice(starts, part.start), strict=True):
                enough = len(start) == len(text) or len(ids) > self.max_tokens
                yield ids if enough else self._encode_slice([text])[0]
        for index, ids in enumerate(ids for ids in inputs if not isinstance(ids, str)):
            yield [*self.prefix, *prompt_ids, *self._unwrapped(index, ids), *self.suffix]

    def _encode_slice(self, texts: list[str], first: int = 0) -> list[list[int]]:
        """Encode a few texts, whose first has the index `first`, at once."""
        try:
            if sum(map(len, texts)) < PARALLEL_CHARACTERS:
                # A batch of one is encoded on this thread, and without the offsets that `encode` adds: a third faster.
                return [self._tokenizer.encode_batch_fast([text])[0].ids for text in texts]
            with self.alone():  # The library's own threads share the work.
                return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        except TypeError:
            raise InvalidError(_describe_surrogate(texts, first), param=PARAM) from None

    def _fit(self, index: int, ids: list[int], prompt_ids: list[int], truncate: Truncation) -> Encoded:
        content = self._content(ids)
        if content == prompt_ids:
            raise nothing_to_embed(index)
        if len(ids) <= self.max_tokens:
            return Encoded(ids, len(ids))
        if truncate == "NONE":
            raise InvalidError(
                f"the text at index {index} has {len(ids)} tokens, the limit is {self.max_tokens}; "
                f"shorten it, or send truncate: true",
                param=PARAM,
            )
        return Encoded(self._cut(content, prompt_ids, truncate), len(ids))

    def _unwrapped(self, index: int, ids: list[int]) -> list[int]:
        """Return a caller's token ids without the special tokens around them.

        Ids of another tokenizer would give a vector that means nothing; if they do not begin as this model's do, they
        are taken for such. The tokens at the end may be missing, as they are from ids that the caller has cut.
        """
        if any(not 0 <= id_ < self.vocabulary_size for id_ in ids):
            raise InvalidError(
                f"the token ids at index {index} must be from 0 to {self.vocabulary_size - 1}", param=PARAM
            )
        if ids[: len(self.prefix)] != self.prefix:
            raise InvalidError(
                f"the token ids at index {index} must begin with {self.prefix}, as this model's tokenizer makes them "
                "(POST /tokenize); ids of another tokenizer cannot be embedded",
                param=PARAM,
            )
        if len(ids) <= len(self.prefix) + len(self.suffix):
            raise nothing_to_embed(index)
        content = self._content(ids)
        return content if ids == [*self.prefix, *content, *self.suffix] else ids[len(self.prefix) :]

    def _cut(self, content: list[int], prompt_ids: list[int], truncate: Truncation) -> list[int]:
        room = self.max_tokens - len(self.prefix) - len(self.suffix)
        # A prompt may merge with the text's first characters; the tokens they share are what is left of it.
        head = min(_shared(content, prompt_ids), room - 1) if truncate == "START" else room
        tail = room - head
        kept = content[:head] + content[len(content) - tail :]
        return [*self.prefix, *kept, *self.suffix]

    def _content(self, ids: list[int]) -> list[int]:
        return ids[len(self.prefix) : len(ids) - len(self.suffix)]

    def _special_tokens(self, path: Path) -> tuple[list[int], list[int]]:
        empty, probe = self._tokenizer.encode("").ids, self._tokenizer.encode("a").ids
        prefix = empty[: _shared(empty, probe)]
        suffix = empty[len(prefix) :]
        if len(probe) <= len(empty) or probe[len(probe) - len(suffix) :] != suffix:
            raise StartError(f"{path} does not wrap a text in fixed special tokens; this tokenizer is not supported")
        if self.max_tokens <= len(empty):
            raise StartError(f"{path} adds {len(empty)} special tokens, the model reads {self.max_tokens} tokens")
        return prefix, suffix


def nothing_to_embed(index: int) -> InvalidError:
    """Build the refusal of a text without content."""
    return InvalidError(
        f"the text at index {index} holds nothing to embed: it is empty, blank or invisible", param=PARAM
    )


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Count the leading elements that two sequences share."""
    for position, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return position
    return min(len(left), len(right))


def _slices(texts: Sequence[str]) -> Iterator[slice]:
    """Yield slices of `texts` with at most SLICE_CHARACTERS, and with at least one text."""
    start = held = 0
    for position, text in enumerate(texts):
        if position > start and held + len(text) > SLICE_CHARACTERS:
            yield slice(start, position)
            start, held = position, 0
        held += len(text)
    yield slice(start, len(texts))


def _describe_surrogate(texts: Sequence[str], first: int = 0) -> str:
    for index, text in enumerate(texts, first):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"the text at index {index} holds a lone surrogate at character {error.start}: not valid Unicode"
    return "a text is not valid Unicode"
