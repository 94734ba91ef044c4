"""Expected results of a build: the source model's vectors for many texts, and the served token ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tokenizers
from numpy.typing import NDArray

from build.errors import BuildError
from build.floors import Case
from build.probes import probes
from build.sentence import Sentence
from server.errors import InvalidError
from server.model.tokenization import Tokenizer, mark

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class PromptedTexts:
    """Texts to embed with a named prompt (None: no prompt requested)."""

    prompt_name: str | None
    texts: list[str]

    @property
    def label(self) -> str:
        """What progress is shown as."""
        return "source" if self.prompt_name is None else f"source, prompt {self.prompt_name!r}"


class SourceModel(Protocol):
    """The source model: what a build's vectors and token ids are compared with."""

    def tokenizer(self) -> tokenizers.Tokenizer:
        """Return the effective tokenizer, without padding and truncation, which the server applies."""

    def vectors(self, asked: PromptedTexts) -> Vectors:
        """Return vectors `[text, dimension]`."""

    def ids(self, text: str, prompt: str) -> list[int]:
        """Return the token ids of `prompt + text`, truncated to the model's maximum."""

    def unpooled(self) -> dict[str, int]:
        """Return how many first tokens pooling leaves out, by prompt name; empty if it pools them all."""


@dataclass(frozen=True)
class Expected:
    """Vectors `[case, dimension]` of the source; the first `measured` cases are the texts that fidelity is told of.

    `tokenizer` is the served one; `unpooled` is the number of first tokens that pooling leaves out, by prompt name.
    """

    cases: list[Case]
    sequences: list[list[int]]
    vectors: Vectors
    measured: int
    tokenizer: Tokenizer
    unpooled: dict[str, int]

    @property
    def dimension(self) -> int:
        """Size of a vector."""
        return int(self.vectors.shape[1])


def expect(source: SourceModel, sentence: Sentence, tokenizer: Path, texts: list[str]) -> Expected:
    """Write the tokenizer that is served and have the source embed `texts`, and the probes under every prompt.

    Raises:
        BuildError: one of `texts` holds nothing to embed, the source fails on one, or a prompt leaves no room for any.
        StartError: the server cannot serve such a tokenizer.
    """
    made = source.tokenizer()
    made.save(str(tokenizer))
    unpooled = source.unpooled()
    served = sentence.tokenizer(tokenizer, unpooled)
    _check_prompts(served, sentence.prompts)
    hard = [text for text in probes(made, sentence.max_tokens) if _ids(served, text, "")]
    cases, sequences, vectors = [], [], []
    for asked in _questions(sentence, served, texts, hard):
        prompt = sentence.prompts[asked.prompt_name] if asked.prompt_name else sentence.default_prompt
        for text in asked.texts:
            ids = _ids(served, text, prompt)
            if not ids:
                raise BuildError(f"the text {text!r} holds nothing to embed: it cannot be measured on")
            own = [max(id_, mark(id_)) for id_ in ids]
            cases.append(Case(text, asked.prompt_name, own == source.ids(text, prompt)))
            sequences.append(ids)
        vectors.append(source.vectors(asked))
    return Expected(cases, sequences, np.concatenate(vectors), len(texts), served, unpooled)


def _check_prompts(served: Tokenizer, prompts: Mapping[str, str]) -> None:
    for name, prompt in prompts.items():
        tokens = len(served.split(prompt).ids)
        if tokens >= served.max_tokens:
            raise BuildError(
                f"the prompt {name!r} takes {tokens} of the {served.max_tokens} tokens that the model reads and leaves "
                "none for a text; shorten it in config_sentence_transformers.json, or raise max_seq_length"
            )


def _questions(sentence: Sentence, served: Tokenizer, texts: list[str], hard: list[str]) -> Iterator[PromptedTexts]:
    yield PromptedTexts(None, [*texts, *hard])
    for name, prompt in sentence.prompts.items():
        # A short text can merge with the prompt's last token, which leaves nothing to pool.
        yield PromptedTexts(name, [text for text in hard if _ids(served, text, prompt)])


def _ids(served: Tokenizer, text: str, prompt: str) -> list[int]:
    """Return the server's token ids for a text; empty if it rejects the text."""
    try:
        return served.encode([text], prompt)[0].ids
    except InvalidError:
        return []
