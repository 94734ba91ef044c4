"""`POST /similarity`: cosines of sentences with a source sentence, in Text Embeddings Inference's format."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import orjson
from msgspec import Meta

from server.api.dialects.body import decode
from server.api.dialects.fields import PromptName, Sentences, Text, Truncate, TruncationDirection
from server.api.operation import BODY_ERRORS, Operation, ref
from server.service.embed_request import Asker, EmbedRequest
from server.service.result import Result

Cosine = Annotated[float, Meta(ge=-1, le=1)]
Cosines = list[Cosine]


class SimilarityInputs(msgspec.Struct, forbid_unknown_fields=True):
    """A sentence and those it is compared with. In errors it has index 0, and they follow."""

    source_sentence: Text
    sentences: Sentences


class SimilarityParameters(msgspec.Struct, forbid_unknown_fields=True):
    """Options for all of the sentences. `null` means that an option is left out."""

    truncate: Truncate = None
    truncation_direction: TruncationDirection | None = None
    prompt_name: PromptName | None = None


class SimilarityBody(msgspec.Struct, forbid_unknown_fields=True):
    """Sentences and options."""

    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None


@dataclass(frozen=True, slots=True)
class SimilarityQuestion:
    """A parsed request: the source sentence, followed by the others."""

    question: EmbedRequest


def parse(payload: bytes, asker: Asker) -> SimilarityQuestion:
    """Read the body of a `/similarity` request.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        TooLargeError: more sentences than one request may hold, the source included.
        InvalidError: JSON of another shape, or a value that cannot be served; the message names it and the limit.
    """
    body = decode(
        payload,
        SimilarityBody,
        '{"inputs": {"source_sentence": "...", "sentences": ["..."]}}',
        asker.most_texts,
    )
    options = body.parameters or SimilarityParameters()
    asker.check_size(body.inputs.sentences, "inputs.sentences")
    question = EmbedRequest(
        inputs=asker.inputs([body.inputs.source_sentence, *body.inputs.sentences], "inputs"),
        prompt=asker.prompt(None, options.prompt_name),
        truncate=asker.truncation(options.truncate, options.truncation_direction),
        outputs=(),
    )
    return SimilarityQuestion(question)


def render(_asked: SimilarityQuestion, result: Result) -> bytes:
    """Render each sentence's cosine with the source from the vectors, [1 + sentences, dimension]."""
    cosines = np.clip(result.vectors[1:] @ result.vectors[0], -1, 1)
    return orjson.dumps(cosines, option=orjson.OPT_SERIALIZE_NUMPY)


OPERATION = Operation(
    path="/similarity",
    id="compare",
    summary="Compare one sentence with others",
    text="Answers their cosines with it, in their order.",
    body=SimilarityBody,
    examples=lambda _: {
        "a sentence and two others": {
            "inputs": {"source_sentence": "The cat sleeps.", "sentences": ["A kitten naps.", "Rates rose."]}
        }
    },
    answer=ref("Cosines"),
    types={"Cosines": Cosines},
    vectors=True,
    failures=BODY_ERRORS,
)
