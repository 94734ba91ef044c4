"""What a build is held to: the source's own vectors of many texts, and the token ids that the graph gets for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from build.errors import BuildError
from build.floors import Case
from build.probes import probes
from build.reference import Asked, Reference
from build.sentence import Sentence
from server.errors import InvalidError
from server.model.tokenization import Tokenizer


@dataclass(frozen=True)
class Expected:
    """Vectors `[case, dimension]` of the source; the first `measured` cases are the texts that fidelity is told of."""

    cases: list[Case]
    sequences: list[list[int]]
    vectors: NDArray[np.float32]
    measured: int

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return int(self.vectors.shape[1])


def expect(reference: Reference, sentence: Sentence, tokenizer: Path, texts: list[str]) -> Expected:
    """Write the tokenizer that is served and have the source embed `texts`, and the probes under every prompt.

    Raises:
        BuildError: one of `texts` holds nothing to embed, or the source fails on one.
        StartError: the server cannot serve such a tokenizer.
    """
    made = reference.tokenizer()
    made.save(str(tokenizer))
    served = Tokenizer(tokenizer, sentence.max_tokens)
    hard = [text for text in probes(made, sentence.max_tokens) if _ids(served, text, "")]
    cases, sequences, vectors = [], [], []
    for asked in _questions(sentence, texts, hard):
        prompt = sentence.prompts[asked.prompt_name] if asked.prompt_name else sentence.default_prompt
        for text in asked.texts:
            ids = _ids(served, text, prompt)
            if not ids:
                raise BuildError(f"the text {text!r} holds nothing to embed: it cannot be measured on")
            cases.append(Case(text, asked.prompt_name, ids == reference.ids(text, prompt)))
            sequences.append(ids)
        vectors.append(reference.vectors(asked))
    return Expected(cases, sequences, np.concatenate(vectors), len(texts))


def _questions(sentence: Sentence, texts: list[str], hard: list[str]) -> Iterator[Asked]:
    yield Asked(None, [*texts, *hard])
    yield from (Asked(name, hard) for name in sentence.prompts)


def _ids(served: Tokenizer, text: str, prompt: str) -> list[int]:
    """Token ids of a text as the server makes them; none where it refuses the text."""
    try:
        return served.encode([text], prompt)[0].ids
    except InvalidError:
        return []
