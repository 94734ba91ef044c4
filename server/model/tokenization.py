"""Converts texts to token ids with the model's tokenizer; truncation keeps the special tokens in place."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import tokenizers

from server.errors import InvalidError, StartError
from server.model.text_start import TextStart

Truncation = Literal["END", "START", "NONE"]
# Texts, or token ids from the caller with special tokens included; never a mixture.
Inputs = list[str] | list[list[int]]

# The name of the input field in OpenAI's API.
PARAM = "input"
# With fewer characters the tokenizer's thread pool gains nothing (measured: 8 texts of 250 characters take the same
# time either way, 64 of them half the time in parallel). With more, only the batch calls may be used: the call for a
# single text holds the GIL, which blocks the event loop.
PARALLEL_CHARACTERS = 4096
# How many requests are tokenized in parallel.
WORKERS = 2
# Characters per call of the tokenizer, unless one text is longer. Before truncation a text takes up to
# `BYTES_PER_CHARACTER` bytes for each (one token per character, with offsets, string and source).
SLICE_CHARACTERS = 65_536
BYTES_PER_CHARACTER = 704


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as token ids, special tokens included; `tokens` is their number before truncation.

    For a text that is far too long `tokens` may be a lower bound, still above the limit. An id that the model computes
    but does not pool is marked: `mark(id)` stands for it.
    """

    ids: list[int]
    tokens: int

    @property
    def truncated(self) -> bool:
        """Whether the text was truncated."""
        return len(self.ids) < self.tokens


@dataclass(frozen=True, slots=True)
class Pieces:
    """All tokens of one text: ids, token strings, character offsets, and the mask of special tokens.

    `words` gives the index of each token's word, None for tokens outside words.
    """

    text: str
    ids: list[int]
    names: list[str]
    offsets: list[tuple[int, int]]
    special: list[int]
    words: list[int | None]


class Span(NamedTuple):
    """A token's position in its text, in characters, and the index of its word (None outside words)."""

    start: int
    end: int
    word: int | None


class Tokenizer:
    """Encodes texts for one model. Blocking: call it on a worker thread."""

    def __init__(self, path: Path, max_tokens: int, unpooled: Mapping[str, int] | None = None) -> None:
        """Load a `tokenizer.json`; `max_tokens` is the model's limit, special tokens included.

        `unpooled` gives, for each prompt, how many ids are marked of a text with this prompt, special tokens included.

        Raises:
            StartError: the file is not a tokenizer, or its special tokens are not a fixed prefix and suffix.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 - the library raises bare Exception
            raise StartError(f"{path} is not a tokenizer: {error}") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = max_tokens
        self._unpooled = unpooled or {}
        self.vocabulary_size: int = self._tokenizer.get_vocab_size()
        self.largest_id: int = max(self._tokenizer.get_vocab().values(), default=0)
        # Ids from here on have no embedding; lowered at start if the graph's table is smaller than the vocabulary.
        self.computable = self.largest_id + 1
        self.prefix, self.suffix = self._special_tokens(path)
        self._start = TextStart(json.loads(self._tokenizer.to_str()), max_tokens)
        self._large = threading.RLock()

    def encode(self, inputs: Inputs, prompt: str = "", truncate: Truncation = "END") -> list[Encoded]:
        """Encode texts, or validate the caller's token ids, each with `prompt` before it.

        END keeps the beginning of a text that is too long, START its end; both keep the prompt, which the model needs.

        Raises:
            InvalidError: a text has no content or a lone surrogate, or is too long and `truncate` is NONE; or token
                ids are not this tokenizer's.
        """
        return list(self.encode_each(inputs, prompt, truncate))

    def encode_each(
        self, inputs: Inputs, prompt: str = "", truncate: Truncation = "END", max_tokens: int | None = None
    ) -> Iterator[Encoded]:
        """Like `encode`, but yield one text at a time, so that few untruncated texts are in memory.

        `max_tokens` is a limit below the model's.

        Raises:
            InvalidError: as `encode`, or `max_tokens` leaves no room for a token of a text.
        """
        prompt_ids = self._content(self._encode_slice([prompt])[0]) if prompt else []
        limit, around = self.limit(max_tokens), len(self.prefix) + len(self.suffix) + len(prompt_ids)
        if max_tokens is not None and limit <= around:
            raise InvalidError(
                f"max_tokens is {max_tokens}, and special tokens and prompt take {around}", param="max_tokens"
            )
        unpooled = self._unpooled.get(prompt, 0)
        for index, ids in enumerate(self._untruncated(inputs, prompt, prompt_ids, truncate)):
            if len(ids) <= unpooled:
                raise nothing_to_embed(index)
            fitted = self._fit(index, ids, prompt_ids, truncate, limit)
            yield _mark_first(fitted, unpooled) if unpooled else fitted

    def limit(self, max_tokens: int | None) -> int:
        """Return the tokens of the longest text, special tokens included: the model's limit, or less if asked for."""
        return self.max_tokens if max_tokens is None else min(max_tokens, self.max_tokens)

    def spans(self, text: str) -> list[Span]:
        """Return the position of each token of `text`, without special tokens.

        Raises:
            InvalidError: the text contains a lone surrogate.
        """
        pieces = self.split(text, special=False)
        return [Span(start, end, word) for (start, end), word in zip(pieces.offsets, pieces.words, strict=True)]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Prevent other threads from tokenizing much text during the block, which bounds the memory used."""
        with self._large:
            yield

    def split(self, text: str, special: bool = True) -> Pieces:
        """Tokenize a text without truncation, with special tokens around it if `special`.

        Raises:
            InvalidError: the text contains a lone surrogate.
        """
        try:
            if len(text) < PARALLEL_CHARACTERS:
                encoding = self._tokenizer.encode(text, add_special_tokens=special)
            else:
                (encoding,) = self._tokenizer.encode_batch([text], add_special_tokens=special)
        except TypeError:
            raise InvalidError(_describe_surrogate([text]), param=PARAM) from None
        return Pieces(
            text, encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask, encoding.word_ids
        )

    def _untruncated(
        self, inputs: Inputs, prompt: str, prompt_ids: list[int], truncate: Truncation
    ) -> Iterator[list[int]]:
        """Yield the ids of each input, or for a long text at least as many as truncation needs."""
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
        """Encode a few texts in one call; `first` is the index of the first one, for error messages."""
        try:
            if sum(map(len, texts)) < PARALLEL_CHARACTERS:
                # A batch of one runs on this thread, and without the offsets that `encode` computes: a third faster.
                return [self._tokenizer.encode_batch_fast([text])[0].ids for text in texts]
            with self.alone():  # The library's own threads share the work.
                return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        except TypeError:
            raise InvalidError(_describe_surrogate(texts, first), param=PARAM) from None

    def _fit(self, index: int, ids: list[int], prompt_ids: list[int], truncate: Truncation, limit: int) -> Encoded:
        content = self._content(ids)
        if content == prompt_ids:
            raise nothing_to_embed(index)
        if len(ids) > limit and truncate == "NONE":
            raise InvalidError(
                f"the text at index {index} has {len(ids)} tokens, the limit is {limit}; "
                f"shorten it, or send truncate: true",
                param=PARAM,
            )
        kept = ids if len(ids) <= limit else self._cut(content, prompt_ids, truncate, limit)
        self._check_computable(index, kept)
        return Encoded(kept, len(ids))

    def _check_computable(self, index: int, ids: list[int]) -> None:
        if self.computable <= self.largest_id and max(ids) >= self.computable:
            raise InvalidError(
                f"the text at index {index} has a token, with the id {max(ids)}, that this model has no embedding for: "
                f"its ids end at {self.computable - 1}",
                param=PARAM,
            )

    def _unwrapped(self, index: int, ids: list[int]) -> list[int]:
        """Return a caller's token ids without the special tokens around them.

        Ids that do not begin with this model's prefix are refused as another tokenizer's, whose vectors would be
        meaningless. The suffix may be missing, as it is if the caller has truncated the ids.
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

    def _cut(self, content: list[int], prompt_ids: list[int], truncate: Truncation, limit: int) -> list[int]:
        room = limit - len(self.prefix) - len(self.suffix)
        # The prompt's last token may have merged with the text's first characters; only the shared tokens are kept.
        head = min(_shared(content, prompt_ids), room - 1) if truncate == "START" else room
        tail = room - head
        kept = content[:head] + content[len(content) - tail :]
        return [*self.prefix, *kept, *self.suffix]

    def _content(self, ids: list[int]) -> list[int]:
        return ids[len(self.prefix) : len(ids) - len(self.suffix)]

    def _special_tokens(self, path: Path) -> tuple[list[int], list[int]]:
        try:
            empty, probe = self._tokenizer.encode("").ids, self._tokenizer.encode("a").ids
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of the library is no Exception
            raise StartError(f"{path} cannot encode a text: {error}") from None
        prefix = empty[: _shared(empty, probe)]
        suffix = empty[len(prefix) :]
        if len(probe) <= len(empty) or probe[len(probe) - len(suffix) :] != suffix:
            raise StartError(f"{path} does not wrap a text in fixed special tokens; this tokenizer is not supported")
        if self.max_tokens <= len(empty):
            raise StartError(f"{path} adds {len(empty)} special tokens, the model reads {self.max_tokens} tokens")
        return prefix, suffix


def mark(id_: int) -> int:
    """Return the mark of an id, which no other id has; the mark of a mark is the id."""
    return -1 - id_


def _mark_first(encoded: Encoded, count: int) -> Encoded:
    return Encoded([*map(mark, encoded.ids[:count]), *encoded.ids[count:]], encoded.tokens)


def nothing_to_embed(index: int) -> InvalidError:
    """Return the error for a text without content."""
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
    """Yield slices of `texts` with at most SLICE_CHARACTERS characters, but at least one text."""
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
