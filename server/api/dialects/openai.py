"""`POST /v1/embeddings` and `GET /v1/models` in OpenAI's format (API reference, "Embeddings" and "Models")."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

import orjson
from msgspec import Meta

from server.api.dialects.body import decode
from server.api.dialects.extra_fields import ExtraFields, ignored_fields
from server.api.dialects.fields import (
    Base64,
    Dimensions,
    EmbeddingType,
    EncodingFormat,
    InputType,
    ModelName,
    OneOrMany,
    OutputDtype,
    PromptName,
    Space,
    Truncate,
    Vector,
    as_inputs,
)
from server.api.dialects.wire import json_forms
from server.api.operation import BODY_ERRORS, READ_ERRORS, Operation, ref
from server.errors import UnknownModelError
from server.model.manifest import Manifest
from server.service.embed_request import Asker, EmbedRequest
from server.service.result import Result

Count = Annotated[int, Meta(ge=0)]


class EmbeddingsBody(ExtraFields, forbid_unknown_fields=True, kw_only=True):
    """OpenAI's question, and options that its API does not have. `null` means that an option is left out."""

    input: OneOrMany
    model: ModelName
    encoding_format: EncodingFormat | None = None
    dimensions: Dimensions | None = None
    input_type: InputType | None = None
    prompt_name: PromptName | None = None
    truncate: Truncate = None
    output_dtype: OutputDtype | None = None
    embedding_type: EmbeddingType | None = None


class Embedding(TypedDict):
    """One vector; `index` is its text's place in `input`."""

    object: Literal["embedding"]
    index: Count
    embedding: Vector | Base64


class Usage(TypedDict):
    """Tokens computed, special tokens included; both counts are the same."""

    prompt_tokens: Count
    total_tokens: Count


class Embeddings(TypedDict):
    """Vectors in the order of `input`, and what they cost."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage
    embedding_space: Space


class Model(TypedDict):
    """A model; the last three fields are this server's own."""

    id: str
    object: Literal["model"]
    created: Annotated[int, Meta(description="When its file was written, in Unix seconds.")]
    owned_by: str
    max_tokens: Annotated[int, Meta(description="Tokens that it reads of a text, special tokens included.")]
    dimension: Annotated[int, Meta(description="Components of a vector.")]
    embedding_space: Annotated[str, Meta(description="The id of its vectors' embedding space.")]


class Models(TypedDict):
    """The one model that this server has."""

    object: Literal["list"]
    data: list[Model]


@dataclass(frozen=True, slots=True)
class EmbeddingsQuestion:
    """A parsed request and the name of the model."""

    question: EmbedRequest
    model: str


def parse(payload: bytes, asker: Asker) -> EmbeddingsQuestion:
    """Read the body of a `/v1/embeddings` request.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        UnknownModelError: the model is not the one being served.
        TooLargeError: more texts than one request may hold.
        InvalidError: JSON of another shape, or a value that cannot be served; the message names it and the limit.
    """
    body = decode(
        payload,
        EmbeddingsBody,
        f'{{"input": "...", "model": "{asker.manifest.name}"}}',
        asker.most_texts,
    )
    asker.check_model(body.model)
    question = EmbedRequest(
        inputs=asker.inputs(as_inputs(body.input, "input"), "input"),
        prompt=asker.prompt(body.input_type, body.prompt_name),
        truncate=asker.truncation(body.truncate, None),
        dimensions=asker.dimensions(body.dimensions),
        ignored=ignored_fields(body),
        outputs=asker.encoding(body.dimensions, None, body.encoding_format, body.output_dtype, body.embedding_type),
    )
    return EmbeddingsQuestion(question, asker.manifest.name)


def render(asked: EmbeddingsQuestion, result: Result) -> bytes:
    """Render the answer from the vectors, [inputs, dimension], and the token count."""
    [encoded] = json_forms(asked.question, result.vectors)
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(encoded)],
        "model": asked.model,
        "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
        "embedding_space": result.space,
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def describe_model(manifest: Manifest, created: int, space: str) -> Model:
    """Return the model's entry in `/v1/models`; `created` is in Unix seconds, `space` the id of its space."""
    owner, _, name = manifest.source.id.rpartition("/")
    return {
        "id": manifest.name,
        "object": "model",
        "created": created,
        "owned_by": owner if owner and name and manifest.source.kind != "folder" else "local",
        "max_tokens": manifest.max_tokens,
        "dimension": manifest.dimension,
        "embedding_space": space,
    }


def list_models(model: Model) -> Models:
    """Return the list of models, which has one entry."""
    return {"object": "list", "data": [model]}


OPERATION = Operation(
    path="/v1/embeddings",
    id="createEmbeddings",
    summary="Embed texts, as OpenAI's clients ask",
    text="`input_type`, `prompt_name` and `truncate` are additions (`extra_body` in OpenAI's client), and so are "
    "`output_dtype`, which Voyage has, and `embedding_type`, which Jina has.",
    body=EmbeddingsBody,
    examples=lambda manifest: {
        "one text": {"model": manifest.name, "input": "Hello world"},
        "base64": {"model": manifest.name, "input": ["first text", "second text"], "encoding_format": "base64"},
    },
    answer=ref("Embeddings"),
    types={"Embeddings": Embeddings},
    vectors=True,
    encodable=True,
    failures=(*BODY_ERRORS, UnknownModelError),
)
LIST_MODELS = Operation(
    path="/v1/models",
    id="listModels",
    summary="List the model that is served",
    answer=ref("Models"),
    types={"Models": Models},
    links={"model": {"operationId": "retrieveModel", "parameters": {"model": "$response.body#/data/0/id"}}},
)
RETRIEVE_MODEL = Operation(
    path="/v1/models/{model:path}",
    id="retrieveModel",
    summary="Describe the model that is served",
    answer=ref("Model"),
    types={"Model": Model},
    failures=(*READ_ERRORS, UnknownModelError),
)
