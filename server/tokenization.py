"""Text to token ids: the model's own tokenizer, with truncation that keeps the special tokens where they belong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import tokenizers

from server.errors import InvalidError, StartError

Truncation = Literal["END", "START", "NONE"]
# Texts, or texts that the caller has tokenized, special tokens included; never a mixture.
Inputs = list[str] | list[list[int]]

# Below this many characters starting the tokenizer's thread pool gains nothing (measured: 8 texts of 250 characters
# take the same time either way, 64 of them half the time in parallel).
PARALLEL_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as token ids, special tokens included; `tokens` counts them before truncation."""

    ids: list[int]
    tokens: int

    @property
    def truncated(self) -> bool:
        """Whether tokens were cut off."""
        return len(self.ids) < self.tokens


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
        self._vocabulary = self._tokenizer.get_vocab_size()
        self._prefix, self._suffix = self._special_tokens(path)

    def encode(self, inputs: Inputs, prompt: str = "", truncate: Truncation = "END") -> list[Encoded]:
        """Encode texts, or take the caller's token ids, each with `prompt` before it.

        END keeps the head of a text that is too long, START its tail; the prompt stays in both, since a text
        without its instruction would be another kind of text.

        Raises:
            InvalidError: a text holds nothing to embed or a lone surrogate, or is too long and `truncate` is NONE;
                or token ids are not this tokenizer's.
        """
        prompt_ids = self._content(self._encode_all([prompt])[0]) if prompt else []
        texts = [text for text in inputs if isinstance(text, str)]
        encoded = self._encode_all([prompt + text for text in texts])
        for index, ids in enumerate(ids for ids in inputs if not isinstance(ids, str)):
            encoded.append([*self._prefix, *prompt_ids, *self._unwrapped(index, ids), *self._suffix])
        return [self._fit(index, ids, prompt_ids, truncate) for index, ids in enumerate(encoded)]

    def spans(self, text: str) -> list[Span]:
        """Return where each token of `text` lies, special tokens left out.

        Raises:
            InvalidError: the text holds a lone surrogate.
        """
        try:
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        except TypeError:
            raise InvalidError(_describe_surrogate([text])) from None
        places = zip(encoding.offsets, encoding.word_ids, strict=True)
        return [Span(start, end, word) for (start, end), word in places]

    def _encode_all(self, texts: list[str]) -> list[list[int]]:
        try:
            if sum(map(len, texts)) < PARALLEL_CHARACTERS:
                return [self._tokenizer.encode(text).ids for text in texts]
            return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        except TypeError:
            raise InvalidError(_describe_surrogate(texts)) from None

    def _fit(self, index: int, ids: list[int], prompt_ids: list[int], truncate: Truncation) -> Encoded:
        content = self._content(ids)
        if content == prompt_ids:
            raise InvalidError(f"the text at index {index} holds nothing to embed: it is empty, blank or invisible")
        if len(ids) <= self.max_tokens:
            return Encoded(ids, len(ids))
        if truncate == "NONE":
            raise InvalidError(
                f"the text at index {index} has {len(ids)} tokens, the limit is {self.max_tokens}; "
                f"shorten it, or send truncate: true"
            )
        return Encoded(self._cut(content, prompt_ids, truncate), len(ids))

    def _unwrapped(self, index: int, ids: list[int]) -> list[int]:
        """Return a caller's token ids without the special tokens around them.

        Ids of another tokenizer would give a vector that means nothing; without this model's special tokens around
        them they are taken for such.
        """
        if any(not 0 <= id_ < self._vocabulary for id_ in ids):
            raise InvalidError(f"the token ids at index {index} must be from 0 to {self._vocabulary - 1}")
        content = self._content(ids)
        if ids != [*self._prefix, *content, *self._suffix]:
            raise InvalidError(
                f"the token ids at index {index} must begin with {self._prefix} and end with {self._suffix}, as this "
                "model's tokenizer makes them (POST /tokenize); ids of another tokenizer cannot be embedded"
            )
        return content

    def _cut(self, content: list[int], prompt_ids: list[int], truncate: Truncation) -> list[int]:
        room = self.max_tokens - len(self._prefix) - len(self._suffix)
        # A prompt may merge with the text's first characters; the tokens they share are what is left of it.
        head = min(_shared(content, prompt_ids), room - 1) if truncate == "START" else room
        tail = room - head
        kept = content[:head] + content[len(content) - tail :]
        return [*self._prefix, *kept, *self._suffix]

    def _content(self, ids: list[int]) -> list[int]:
        return ids[len(self._prefix) : len(ids) - len(self._suffix)]

    def _special_tokens(self, path: Path) -> tuple[list[int], list[int]]:
        empty, probe = self._tokenizer.encode("").ids, self._tokenizer.encode("a").ids
        prefix = empty[: _shared(empty, probe)]
        suffix = empty[len(prefix) :]
        if len(probe) <= len(empty) or probe[len(probe) - len(suffix) :] != suffix:
            raise StartError(f"{path} does not wrap a text in fixed special tokens; this tokenizer is not supported")
        if self.max_tokens <= len(empty):
            raise StartError(f"{path} adds {len(empty)} special tokens, the model reads {self.max_tokens} tokens")
        return prefix, suffix


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Count the leading elements that two sequences share."""
    for position, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return position
    return min(len(left), len(right))


def _describe_surrogate(texts: Sequence[str]) -> str:
    for index, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"the text at index {index} holds a lone surrogate at character {error.start}: not valid Unicode"
    return "a text is not valid Unicode"
