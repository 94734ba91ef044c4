"""`POST /embed`: three request formats; the format of the answer depends on the request's key."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypedDict

import orjson
from msgspec import UNSET, Meta, UnsetType

from server.api.dialects.body import decode
from server.api.dialects.extra_fields import ExtraFields, ignored_fields
from server.api.dialects.fields import (
    Base64,
    Dimensions,
    InputType,
    Normalize,
    OneOrMany,
    OutputDtype,
    PromptName,
    Text,
    Texts,
    Truncate,
    TruncationDirection,
    Vector,
    as_inputs,
)
from server.api.dialects.wire import json_forms
from server.api.operation import BODY_ERRORS, Examples, Operation, ref
from server.errors import InvalidError
from server.model.manifest import Manifest
from server.model.tokenization import Inputs
from server.service.embed_request import Asker, EmbedRequest
from server.service.result import Result

KEYS = ("text", "texts", "inputs")
Shape = Literal["embedding", "embeddings", "rows"]
# Here `output_dtype` alone names the type.
Numbers = Annotated[
    Literal["float", "base64"],
    Meta(
        description="`float` writes JSON numbers, `base64` the little-endian bytes of each vector. Left out: `float`."
    ),
]


class EmbedBody(ExtraFields, forbid_unknown_fields=True, kw_only=True):
    """Texts, under exactly one of `text`, `texts`, `inputs`, and options. `null` means that an option is left out."""

    text: Text | Texts | UnsetType = UNSET
    texts: Texts | UnsetType = UNSET
    inputs: OneOrMany | UnsetType = UNSET
    input_type: InputType | None = None
    prompt_name: PromptName | None = None
    truncate: Truncate = None
    truncation_direction: TruncationDirection | None = None
    normalize: Normalize | None = None
    dimensions: Dimensions | None = None
    encoding_format: Numbers | None = None
    output_dtype: OutputDtype | None = None


Rows = list[Vector | Base64]


class OneVector(TypedDict):
    """The vector of one `text`."""

    embedding: Vector | Base64


class ManyVectors(TypedDict):
    """The vectors of a list of `text` or `texts`, in their order."""

    embeddings: list[Vector | Base64]


@dataclass(frozen=True, slots=True)
class EmbedQuestion:
    """A parsed request and the shape of its answer."""

    question: EmbedRequest
    shape: Shape


def parse(payload: bytes, asker: Asker) -> EmbedQuestion:
    """Read the body of an `/embed` request.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        TooLargeError: more texts than one request may hold.
        InvalidError: JSON of another shape, or a value that cannot be served; the message names it and the limit.
    """
    body = _decode(payload, asker)
    inputs, shape = _inputs_of(body, asker)
    question = EmbedRequest(
        inputs=inputs,
        prompt=asker.prompt(body.input_type, body.prompt_name),
        truncate=asker.truncation(body.truncate, body.truncation_direction),
        normalize=asker.normalize(body.normalize),
        dimensions=asker.dimensions(body.dimensions),
        ignored=ignored_fields(body),
        outputs=asker.encoding(body.dimensions, body.normalize, body.encoding_format, body.output_dtype),
    )
    return EmbedQuestion(question, shape)


def render(asked: EmbedQuestion, result: Result) -> bytes:
    """Render the answer from the vectors, [texts, dimension]."""
    [rows] = json_forms(asked.question, result.vectors)
    answer: object = rows
    if asked.shape == "embedding":
        answer = {"embedding": rows[0]}
    elif asked.shape == "embeddings":
        answer = {"embeddings": rows}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _decode(payload: bytes, asker: Asker) -> EmbedBody:
    try:
        return decode(payload, EmbedBody, '{"text": "..."}', asker.most_texts)
    except InvalidError as error:
        # What Hugging Face's client sends to the address of its model, whatever it is to compute.
        if error.param == "inputs" and "got `object`" in str(error):
            hint = "; for similarity, post it to /similarity (Hugging Face's client: model=URL/similarity)"
            raise InvalidError(f"{error}{hint}", param="inputs") from None
        raise


def _inputs_of(body: EmbedBody, asker: Asker) -> tuple[Inputs, Shape]:
    given = [(key, value) for key in KEYS if not isinstance(value := getattr(body, key), UnsetType)]
    if len(given) != 1:
        actual = f"got {' and '.join(key for key, _ in given)}" if given else "got none of them"
        raise InvalidError(f"send exactly one of {', '.join(KEYS)}; {actual}")
    [(key, value)] = given
    plain: Shape = "embedding" if isinstance(value, str) else "embeddings"
    return asker.inputs(as_inputs(value, key), key), "rows" if key == "inputs" else plain


def _examples(manifest: Manifest) -> Examples:
    prompts = sorted(manifest.prompts)
    named = {"a named prompt": {"inputs": "What is BM25?", "prompt_name": prompts[0]}} if prompts else {}
    return {
        "one text": {"text": "Hello world"},
        "many texts": {"texts": ["first text", "second text"], "input_type": "document"},
        "a query": {"text": "What is BM25?", "input_type": "query"},
        "Text Embeddings Inference": {"inputs": ["first text", "second text"], "truncate": True},
        "half the bytes": {"texts": ["first text"], "output_dtype": "float16", "encoding_format": "base64"},
        **named,
    }


OPERATION = Operation(
    path="/embed",
    id="embed",
    summary="Embed texts",
    text="The answer's shape follows the question's key: `text` gives `embedding` (or `embeddings`, for a list), "
    "`texts` gives `embeddings`, and `inputs` the bare list of vectors, as Text Embeddings Inference answers.",
    body=EmbedBody,
    one_of=KEYS,
    examples=_examples,
    answer={"anyOf": [ref("OneVector"), ref("ManyVectors"), ref("Rows")]},
    types={"OneVector": OneVector, "ManyVectors": ManyVectors, "Rows": Rows},
    vectors=True,
    encodable=True,
    failures=BODY_ERRORS,
)
AT_BASE = replace(
    OPERATION,
    path="/",
    id="embedAtBase",
    summary="Embed texts, for clients that post to the server's address",
    text="The same as POST /embed. Hugging Face's InferenceClient posts to the address that it is given.",
    examples=lambda _: {"Text Embeddings Inference": {"inputs": ["first text", "second text"]}},
)
