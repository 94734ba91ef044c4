"""The OpenAPI 3.1 document of one running server: every route, body, answer, header and error."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server import __version__, errors
from server.api.guard import MILLISECONDS, REQUEST_TIMEOUT
from server.api.instrumentation import REQUEST_ID
from server.api.schemas import Schema, components, ref
from server.errors import ServiceError
from server.service.loaded_model import LoadedModel
from server.telemetry import metrics

JSON = "application/json"

VECTOR_HEADERS = {
    "x-compute-tokens": "Tokens computed, special tokens included.",
    "x-compute-characters": "Characters of the texts.",
    "x-truncated-inputs": "Texts that were cut because the model does not read more.",
    "x-total-time": "Milliseconds from the request's headers to its answer.",
    "x-tokenization-time": "Milliseconds of tokenization.",
    "x-queue-time": "Milliseconds of waiting for the engine.",
    "x-inference-time": "Milliseconds of inference.",
}
ERROR_HEADERS = {
    "Retry-After": "Seconds after which to try again.",
    "WWW-Authenticate": "The kind of key that is asked for.",
}
READ_ERRORS = (errors.UnauthorizedError, ServiceError)
BODY_ERRORS = (
    errors.MalformedError,
    errors.UnauthorizedError,
    errors.ForbiddenError,
    errors.SlowRequestError,
    errors.TooLargeError,
    errors.MediaTypeError,
    errors.InvalidError,
    errors.OverloadedError,
    ServiceError,
    errors.UnavailableError,
    errors.DeadlineError,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `body` names a schema; without one it is a GET. `media` is the answer's type."""

    path: str
    id: str
    summary: str
    answer: Schema
    text: str = ""
    body: str = ""
    examples: Mapping[str, object] = field(default_factory=dict)
    failures: tuple[type[ServiceError], ...] = READ_ERRORS
    media: str = JSON
    vectors: bool = False
    open: bool = False

    @property
    def openai(self) -> bool:
        """Whether errors have OpenAI's shape."""
        return self.path.startswith(errors.OPENAI_PATHS)


def document(loaded: LoadedModel) -> dict[str, Any]:
    """Describe the server that `loaded` will be, as OpenAPI 3.1.1 has it."""
    manifest, asks_key = loaded.artifact.manifest, bool(loaded.settings.api_key)
    operations = _operations(manifest.name, sorted(manifest.prompts))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})["post" if operation.body else "get"] = _operation(operation, asks_key)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Embedding service",
            "version": __version__,
            "description": f"Vectors of {manifest.name}: {manifest.dimension} components, at most "
            f"{manifest.max_tokens} tokens a text. Limits are those of this running server.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components(loaded),
            "responses": {
                name: response for operation in operations for name, response in _errors(operation, asks_key)
            },
            "headers": _headers(),
            "parameters": _parameters(),
            **({"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}} if asks_key else {}),
        },
    }


def _operations(model: str, prompts: list[str]) -> list[Operation]:
    named = {"a named prompt": {"inputs": "What is BM25?", "prompt_name": prompts[0]}} if prompts else {}
    vectors = {"anyOf": [ref("OneVector"), ref("ManyVectors"), {"type": "array", "items": ref("Vector")}]}
    embed = Operation(
        path="/embed",
        id="embed",
        summary="Embed texts",
        text="The answer's shape follows the question's key: `text` gives `embedding` (or `embeddings`, for a list), "
        "`texts` gives `embeddings`, and `inputs` the bare list of vectors, as Text Embeddings Inference answers.",
        body="EmbedBody",
        examples={
            "one text": {"text": "Hello world"},
            "many texts": {"texts": ["first text", "second text"], "input_type": "document"},
            "a query": {"text": "What is BM25?", "input_type": "query"},
            "Text Embeddings Inference": {"inputs": ["first text", "second text"], "truncate": True},
        }
        | named,
        answer=vectors,
        vectors=True,
        failures=BODY_ERRORS,
    )
    return [
        embed,
        _base_route(embed),
        *_openai_operations(model),
        *_tei_operations(),
        *_state_operations(),
    ]


def _base_route(embed: Operation) -> Operation:
    return Operation(
        path="/",
        id="embedAtBase",
        summary="Embed texts, for clients that post to the server's address",
        text="The same as POST /embed. Hugging Face's InferenceClient posts to the address that it is given.",
        body=embed.body,
        examples={"Text Embeddings Inference": {"inputs": ["first text", "second text"]}},
        answer=embed.answer,
        vectors=True,
        failures=BODY_ERRORS,
    )


def _openai_operations(model: str) -> Iterable[Operation]:
    yield Operation(
        path="/v1/embeddings",
        id="createEmbeddings",
        summary="Embed texts, as OpenAI's clients ask",
        text="`input_type`, `prompt_name` and `truncate` are additions (`extra_body` in OpenAI's client).",
        body="EmbeddingsBody",
        examples={
            "one text": {"model": model, "input": "Hello world"},
            "base64": {"model": model, "input": ["first text", "second text"], "encoding_format": "base64"},
        },
        answer=ref("Embeddings"),
        vectors=True,
        failures=(*BODY_ERRORS, errors.UnknownModelError),
    )
    yield Operation("/v1/models", "listModels", "List the model that is served", ref("Models"))
    yield Operation(
        path="/v1/models/{model}",
        id="retrieveModel",
        summary="Describe the model that is served",
        answer=ref("Model"),
        failures=(*READ_ERRORS, errors.UnknownModelError),
    )


def _tei_operations() -> Iterable[Operation]:
    yield Operation(
        path="/similarity",
        id="compare",
        summary="Compare one sentence with others",
        text="Answers their cosines with it, in their order.",
        body="SimilarityBody",
        examples={
            "a sentence and two others": {
                "inputs": {"source_sentence": "The cat sleeps.", "sentences": ["A kitten naps.", "Rates rose."]}
            }
        },
        answer=ref("Cosines"),
        vectors=True,
        failures=BODY_ERRORS,
    )
    yield Operation(
        path="/tokenize",
        id="tokenize",
        summary="Cut texts into the model's tokens",
        text="All of a text's tokens, also those that the model would not read.",
        body="TokenizeBody",
        examples={"a text": {"inputs": "Hello world"}, "bare tokens": {"inputs": "Hi", "add_special_tokens": False}},
        answer=ref("Tokens"),
        failures=BODY_ERRORS,
    )
    yield Operation("/info", "info", "Model, machine and limits", ref("Info"))


def _state_operations() -> Iterable[Operation]:
    broken = (ServiceError, errors.UnavailableError)
    yield Operation("/health", "health", "Alive, or to be restarted", ref("Status"), failures=broken, open=True)
    yield Operation("/ready", "ready", "Whether requests can be answered", ref("Status"), failures=broken, open=True)
    text = {"type": "string"}
    yield Operation(
        "/metrics", "metrics", "Counters for Prometheus", text, media=metrics.CONTENT_TYPE.partition(";")[0]
    )
    yield Operation("/openapi.json", "openapi", "This document", {"type": "object"})
    yield Operation("/docs", "docs", "This document to read", text, media="text/html")


def _operation(operation: Operation, asks_key: bool) -> Schema:
    described: Schema = {"operationId": operation.id, "summary": operation.summary}
    if operation.text:
        described["description"] = operation.text
    described["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in _parameter_names(operation)]
    if operation.body:
        examples = {name: {"value": value} for name, value in operation.examples.items()}
        content = {JSON: {"schema": ref(operation.body), "examples": examples}}
        described["requestBody"] = {"required": True, "content": content}
    failures = {
        str(kind.status): {"$ref": f"#/components/responses/{_error_name(operation, kind)}"}
        for kind in _kinds(operation, asks_key)
    }
    described["responses"] = {"200": _answer(operation)} | failures
    if asks_key and not operation.open:
        described["security"] = [{"key": []}]
    return described


def _answer(operation: Operation) -> Schema:
    headers = [REQUEST_ID, *(VECTOR_HEADERS if operation.vectors else ())]
    answer = {
        "description": operation.summary,
        "headers": _header_refs(headers),
        "content": {operation.media: {"schema": operation.answer}},
    }
    if operation.id == "listModels":
        link = {"operationId": "retrieveModel", "parameters": {"model": "$response.body#/data/0/id"}}
        answer["links"] = {"model": link}
    return answer


def _kinds(operation: Operation, asks_key: bool) -> list[type[ServiceError]]:
    return [kind for kind in operation.failures if asks_key or kind is not errors.UnauthorizedError]


def _errors(operation: Operation, asks_key: bool) -> Iterable[tuple[str, Schema]]:
    body = "NestedError" if operation.openai else "FlatError"
    for kind in _kinds(operation, asks_key):
        yield (
            _error_name(operation, kind),
            {
                "description": (kind.__doc__ or "").partition("\n")[0],
                "headers": _header_refs([REQUEST_ID, *_error_headers(kind)]),
                "content": {JSON: {"schema": ref(body)}},
            },
        )


def _error_name(operation: Operation, kind: type[ServiceError]) -> str:
    return f"OpenAI{kind.__name__}" if operation.openai else kind.__name__


def _error_headers(kind: type[ServiceError]) -> list[str]:
    if kind is errors.UnauthorizedError:
        return ["WWW-Authenticate"]
    return ["Retry-After"] if kind in (errors.OverloadedError, errors.UnavailableError) else []


def _header_refs(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _headers() -> Schema:
    count: Schema = {"type": "integer", "minimum": 0}
    counts = {name: (text, count) for name, text in VECTOR_HEADERS.items()}
    words = {name: (text, {"type": "string"}) for name, text in ERROR_HEADERS.items()}
    request_id = {REQUEST_ID: ("The request's id: the caller's, or a new one.", {"type": "string"})}
    return {
        name: {"description": text, "required": True, "schema": schema}
        for name, (text, schema) in (request_id | counts | words).items()
    }


def _parameter_names(operation: Operation) -> list[str]:
    return [
        *(["model"] if "{model}" in operation.path else []),
        REQUEST_ID,
        *([REQUEST_TIMEOUT] if operation.body else []),
    ]


def _parameters() -> Schema:
    return {
        "model": {
            "name": "model",
            "in": "path",
            "required": True,
            "schema": ref("ModelName"),
        },
        REQUEST_ID: {
            "name": REQUEST_ID,
            "in": "header",
            "description": "An id to find the request by in the log: up to 128 printable ASCII characters without "
            "spaces. Another, or none, is replaced.",
            "schema": {"type": "string"},
        },
        REQUEST_TIMEOUT: {
            "name": REQUEST_TIMEOUT,
            "in": "header",
            "description": "Milliseconds that the caller waits, if fewer than the server's own limit; then 429 or 504.",
            "schema": {"type": "string", "pattern": f"^{MILLISECONDS.pattern}$"},
        },
    }
