"""`POST /v2/embed` and `POST /v1/embed` in Cohere's format (API reference, "Embed")."""

import uuid
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypedDict, cast

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from server.api.dialects.body import decode
from server.api.dialects.fields import (
    Base64,
    Dimensions,
    EmbeddingType,
    InputType,
    MaxTokens,
    ModelName,
    Space,
    Texts,
    Truncate,
    Vector,
)
from server.api.dialects.wire import json_forms
from server.api.operation import BODY_ERRORS, Operation, ref
from server.errors import InvalidError, UnknownModelError
from server.model.output_types import FLOAT, OutputName
from server.service.embed_request import Asker, EmbedRequest
from server.service.output import BASE64, ENCODINGS, Output
from server.service.result import Result
from server.system.memory import size_of

MOST_TYPES = len(ENCODINGS)
# The texts, and twice their JSON: the answer repeats them.
KEPT_FACTOR = 3
# Priorities only order a queue of Cohere's.
Priority = Annotated[int, Meta(description="Taken for compatibility, and not used.")]
Refused = Annotated[Any, Meta(extra_json_schema={"type": "null"}, description="Refused: the model embeds texts only.")]
Version = Literal["1", "2"]


class CohereBody(msgspec.Struct, forbid_unknown_fields=True):
    """Cohere's question. `null` means that an option is left out."""

    texts: Texts | UnsetType = UNSET
    model: ModelName | None = None
    input_type: InputType | None = None
    embedding_types: Annotated[list[EmbeddingType], Meta(min_length=1, max_length=MOST_TYPES)] | None = None
    truncate: Truncate = None
    output_dimension: Dimensions | None = None
    max_tokens: MaxTokens | None = None
    priority: Priority | None = None
    images: Refused = None
    inputs: Refused = None


class CohereVectors(TypedDict, total=False):
    """The vectors by type, as far as they were asked for."""

    float: list[Vector]
    float16: list[Vector]
    int8: list[Vector]
    uint8: list[Vector]
    binary: list[Vector]
    ubinary: list[Vector]
    base64: list[Base64]


class ApiVersion(TypedDict):
    """The version of Cohere's API."""

    version: Version


class BilledUnits(TypedDict):
    """Tokens computed, special tokens included."""

    input_tokens: Annotated[int, Meta(ge=0)]


class CohereMeta(TypedDict):
    """What the vectors cost."""

    api_version: ApiVersion
    billed_units: BilledUnits


class EmbeddingsByType(TypedDict):
    """The vectors of `texts`, once for each type that was asked for."""

    response_type: Literal["embeddings_by_type"]
    id: str
    embeddings: CohereVectors
    texts: list[str]
    meta: CohereMeta
    embedding_space: Space


class EmbeddingsFloats(TypedDict):
    """The vectors of `texts`, where version 1 was asked for no types."""

    response_type: Literal["embeddings_floats"]
    id: str
    embeddings: list[Vector]
    texts: list[str]
    meta: CohereMeta
    embedding_space: Space


@dataclass(frozen=True, slots=True)
class CohereQuestion:
    """A parsed request, the names of the types in its answer (none: bare floats), and the texts that it repeats."""

    question: EmbedRequest
    version: Version
    types: tuple[str, ...]
    texts: list[str]
    id: str


def parse(payload: bytes, asker: Asker) -> CohereQuestion:
    """Read the body of a `/v2/embed` request.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        UnknownModelError: the model is not the one being served.
        TooLargeError: more texts than one request may hold.
        InvalidError: JSON of another shape, or a value that cannot be served; the message names it and the limit.
    """
    body = _body(payload, asker)
    return _question(body, asker, "2", body.embedding_types or [FLOAT.name])


def parse_v1(payload: bytes, asker: Asker) -> CohereQuestion:
    """Read the body of a `/v1/embed` request, whose answer is a bare list of floats if it names no types.

    Raises:
        CallerError: as `parse`.
    """
    body = _body(payload, asker)
    return _question(body, asker, "1", body.embedding_types or [])


def render(asked: CohereQuestion, result: Result) -> bytes:
    """Render the answer from the vectors, [texts, dimension], and the token count."""
    values = json_forms(asked.question, result.vectors)
    answer = {
        "response_type": "embeddings_by_type" if asked.types else "embeddings_floats",
        "id": asked.id,
        "embeddings": dict(zip(asked.types, values, strict=True)) if asked.types else values[0],
        "texts": asked.texts,
        "meta": {"api_version": {"version": asked.version}, "billed_units": {"input_tokens": result.tokens}},
        "embedding_space": result.space,
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _body(payload: bytes, asker: Asker) -> CohereBody:
    example = f'{{"texts": ["..."], "model": "{asker.manifest.name}", "input_type": "search_document"}}'
    body = decode(payload, CohereBody, example, asker.most_texts)
    for field in ("images", "inputs"):
        if getattr(body, field) is not None:
            raise InvalidError(f"{field} cannot be embedded: the model reads text only; send it in texts", param=field)
    if body.model is not None:
        asker.check_model(body.model)
    return body


def _question(body: CohereBody, asker: Asker, version: Version, types: list[str]) -> CohereQuestion:
    if isinstance(body.texts, UnsetType):
        raise InvalidError("texts is missing; send a list of texts", param="texts")
    texts = cast("list[str]", asker.inputs(body.texts, "texts"))
    dimensions = asker.dimensions(body.output_dimension, "output_dimension")
    names = tuple(dict.fromkeys(types))
    question = EmbedRequest(
        inputs=list(texts),
        prompt=asker.prompt(body.input_type, None),
        truncate=asker.truncation(body.truncate, None),
        dimensions=dimensions,
        outputs=tuple(_output(name, asker, dimensions) for name in names or (FLOAT.name,)),
        max_tokens=body.max_tokens,
        kept_bytes=KEPT_FACTOR * size_of(texts),
    )
    return CohereQuestion(question, version, names, texts, str(uuid.uuid4()))


def _output(name: str, asker: Asker, dimensions: int | None) -> Output:
    if name not in ENCODINGS:
        raise InvalidError(f"embedding_types must be of {', '.join(ENCODINGS)}", param="embedding_types")
    kind = FLOAT.name if name == BASE64 else cast(OutputName, name)
    return asker.output(kind, name == BASE64, "embedding_types", dimensions)


OPERATION = Operation(
    path="/v2/embed",
    id="cohereEmbed",
    summary="Embed texts, as Cohere's clients ask",
    text='Errors are `{"message": ...}`. `float16` is an addition to Cohere\'s types. Images are refused.',
    body=CohereBody,
    one_of=("texts",),
    examples=lambda manifest: {
        "documents": {"model": manifest.name, "texts": ["first text", "second text"], "input_type": "search_document"},
        "two types": {"model": manifest.name, "texts": ["a text"], "embedding_types": ["float", "float16"]},
    },
    answer=ref("EmbeddingsByType"),
    types={"EmbeddingsByType": EmbeddingsByType, "EmbeddingsFloats": EmbeddingsFloats},
    vectors=True,
    encodable=True,
    failures=(*BODY_ERRORS, UnknownModelError),
)
VERSION_1 = replace(
    OPERATION,
    path="/v1/embed",
    id="cohereEmbedV1",
    summary="Embed texts, as clients of Cohere's version 1 ask",
    text="As version 2; without `embedding_types` the answer's `embeddings` is a bare list of floats.",
    answer={"anyOf": [ref("EmbeddingsByType"), ref("EmbeddingsFloats")]},
)
