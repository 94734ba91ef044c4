"""Generates the OpenAPI 3.1 document of a running server."""

from collections.abc import Iterable
from typing import Any

from server import __version__, errors
from server.api import routes
from server.api.dialects import wire
from server.api.guard import IF_SPACE, MILLISECONDS, REQUEST_TIMEOUT
from server.api.handlers import IGNORED_FIELDS
from server.api.instrumentation import REQUEST_ID
from server.api.operation import EMBEDDING_SPACE, JSON, Examples, Operation, Schema, ref
from server.api.schemas import components
from server.errors import ServiceError
from server.model import space
from server.service.loaded_model import LoadedModel

VECTOR_HEADERS = {
    "x-compute-tokens": "Tokens computed, special tokens included.",
    "x-compute-characters": "Characters of the texts.",
    "x-truncated-inputs": "Texts that were cut because the model does not read more.",
    "x-total-time": "Milliseconds from the request's headers to its answer.",
    "x-tokenization-time": "Milliseconds of tokenization.",
    "x-queue-time": "Milliseconds of waiting for the engine.",
    "x-inference-time": "Milliseconds of inference.",
}
IGNORED_HEADERS = {IGNORED_FIELDS: "The fields of the body that were ignored; left out where there are none."}
SPACE_HEADERS = {EMBEDDING_SPACE: "The id of the vectors' embedding space: NAME@HASH/PRECISION."}
# Of answers in other forms than JSON floats.
ENCODED_HEADERS = {
    "x-embedding-shape": "Rows and values in a row of an answer in bytes, such as `2,384`.",
    "x-embedding-type": "The type of an answer in bytes, as `output_dtype` names it.",
    "x-embedding-dtype": "The same as numpy names it; little-endian.",
    "x-embedding-scale": "The factor from a code of int8 (of uint8: less 128) to a component.",
}
ERROR_HEADERS = {
    "Retry-After": "Seconds after which to try again.",
    "WWW-Authenticate": "The kind of key that is asked for.",
}


def document(loaded: LoadedModel) -> dict[str, Any]:
    """Return the OpenAPI 3.1.1 document of a server of `loaded`."""
    manifest, asks_key = loaded.artifact.manifest, bool(loaded.settings.api_key)
    operations = [operation for operation, _ in routes.ROUTES]
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _operation(operation, operation.examples(manifest), asks_key)
        paths.setdefault(operation.template, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Embedding service",
            "version": __version__,
            "description": f"Vectors of {manifest.name}: {manifest.dimension} components, at most "
            f"{manifest.max_tokens} tokens a text. Limits are those of this running server.",
        },
        "servers": [{"url": loaded.settings.base_path or "/"}],
        "paths": paths,
        "components": {
            "schemas": components(loaded),
            "responses": {
                name: response for operation in operations for name, response in _errors(operation, asks_key)
            },
            "headers": _headers(),
            "parameters": _parameters(loaded),
            **({"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}} if asks_key else {}),
        },
    }


def _operation(operation: Operation, examples: Examples, asks_key: bool) -> Schema:
    described: Schema = {"operationId": operation.id, "summary": operation.summary}
    if operation.text:
        described["description"] = operation.text
    described["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in _parameter_names(operation)]
    if operation.body:
        shown = {name: {"value": value} for name, value in examples.items()}
        content = {JSON: {"schema": ref(operation.body.__name__), "examples": shown}}
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
    encoded = operation.encodable
    headers = [
        REQUEST_ID,
        *((*VECTOR_HEADERS, *SPACE_HEADERS, IGNORED_FIELDS) if operation.vectors else ()),
        *(ENCODED_HEADERS if encoded else ()),
    ]
    content = {
        media: {"schema": schema} for media, schema in {operation.media: operation.answer, **operation.also}.items()
    }
    if encoded:
        content |= {media: {"schema": {"description": "Bytes of a matrix"}} for media in (wire.BYTES, wire.NPY)}
    answer = {"description": operation.summary, "headers": _header_refs(headers), "content": content}
    if operation.links:
        answer["links"] = operation.links
    return answer


def _kinds(operation: Operation, asks_key: bool) -> list[type[ServiceError]]:
    return [kind for kind in operation.failures if asks_key or kind is not errors.UnauthorizedError]


def _errors(operation: Operation, asks_key: bool) -> Iterable[tuple[str, Schema]]:
    for kind in _kinds(operation, asks_key):
        yield (
            _error_name(operation, kind),
            {
                "description": (kind.__doc__ or "").partition("\n")[0],
                "headers": _header_refs([REQUEST_ID, *_error_headers(kind)]),
                "content": {JSON: {"schema": ref(operation.errors)}},
            },
        )


def _error_name(operation: Operation, kind: type[ServiceError]) -> str:
    prefix = {"NestedError": "OpenAI", "CohereError": "Cohere", "FlatError": ""}[operation.errors]
    return f"{prefix}{kind.__name__}"


def _error_headers(kind: type[ServiceError]) -> list[str]:
    if kind is errors.UnauthorizedError:
        return ["WWW-Authenticate"]
    return ["Retry-After"] if kind in (errors.OverloadedError, errors.UnavailableError) else []


def _header_refs(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _headers() -> Schema:
    count: Schema = {"type": "integer", "minimum": 0}
    counts = {name: (text, count) for name, text in VECTOR_HEADERS.items()}
    described = ENCODED_HEADERS | ERROR_HEADERS | SPACE_HEADERS | IGNORED_HEADERS
    optional = ENCODED_HEADERS | IGNORED_HEADERS
    words = {name: (text, {"type": "string"}) for name, text in described.items()}
    request_id = {REQUEST_ID: ("The request's id: the caller's, or a new one.", {"type": "string"})}
    return {
        name: {"description": text, "required": name not in optional, "schema": schema}
        for name, (text, schema) in (request_id | counts | words).items()
    }


def _parameter_names(operation: Operation) -> list[str]:
    return [
        *(["model"] if "{model}" in operation.template else []),
        REQUEST_ID,
        *([REQUEST_TIMEOUT, IF_SPACE] if operation.body else []),
    ]


def _parameters(loaded: LoadedModel) -> Schema:
    served = space.parse(loaded.artifact.space)
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
        IF_SPACE: {
            "name": IF_SPACE,
            "in": "header",
            "description": "The id of the embedding space that the caller expects, with or without its precision; "
            "where this server's vectors are of another one: 412.",
            "schema": {"type": "string", "enum": [served.model, str(served)]},
        },
    }
