"""Description of one API operation, from which its route and its OpenAPI entry are generated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from server import errors
from server.errors import ServiceError
from server.model.manifest import Manifest

JSON = "application/json"
COMPONENTS = "#/components/schemas/"
OPENAI_PATHS = "/v1/"
EMBEDDING_SPACE = "x-embedding-space"
COHERE_PATHS = "/v2/"
COHERE_V1_PATH = "/v1/embed"

READ_ERRORS = (errors.UnauthorizedError, ServiceError)
BODY_ERRORS = (
    errors.MalformedError,
    errors.UnauthorizedError,
    errors.ForbiddenError,
    errors.SpaceError,
    errors.SlowRequestError,
    errors.TooLargeError,
    errors.MediaTypeError,
    errors.InvalidError,
    errors.OverloadedError,
    ServiceError,
    errors.UnavailableError,
    errors.DeadlineError,
)

Schema = dict[str, Any]
Examples = Mapping[str, object]


def ref(name: str) -> Schema:
    """Return a reference to the schema `name`."""
    return {"$ref": COMPONENTS + name}


ErrorShape = Literal["FlatError", "NestedError", "CohereError"]


def error_shape(path: str) -> ErrorShape:
    """Return the name of the shape of errors under `path`: Cohere's, OpenAI's, or a flat one elsewhere."""
    if path == COHERE_V1_PATH or path.startswith(COHERE_PATHS):
        return "CohereError"
    return "NestedError" if path.startswith(OPENAI_PATHS) else "FlatError"


def no_examples(_: Manifest) -> Examples:
    """Return no examples."""
    return {}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `path` is a Starlette path pattern. `body` is the type of the request body; without one the method is GET. Exactly
    one of the fields in `one_of` is required. `examples` returns example bodies for a model. `answer` is the schema of
    the response, which may refer to `types` by name. `links` are OpenAPI links, and `media` is the response's media
    type; `also` holds the schemas of answers of other media types. `vectors` adds the headers that report tokens and
    times, `encodable` offers the vectors as bytes; `open` exempts the operation from the API key.
    """

    path: str
    id: str
    summary: str
    answer: Schema
    types: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    body: type[msgspec.Struct] | None = None
    one_of: tuple[str, ...] = ()
    examples: Callable[[Manifest], Examples] = no_examples
    failures: tuple[type[ServiceError], ...] = READ_ERRORS
    links: Mapping[str, object] = field(default_factory=dict)
    media: str = JSON
    also: Mapping[str, Schema] = field(default_factory=dict)
    vectors: bool = False
    encodable: bool = False
    open: bool = False

    @property
    def method(self) -> str:
        """The HTTP method; GET includes HEAD."""
        return "POST" if self.body else "GET"

    @property
    def template(self) -> str:
        """The path in OpenAPI's syntax."""
        return self.path.replace(":path}", "}")

    @property
    def errors(self) -> ErrorShape:
        """The shape of its errors."""
        return error_shape(self.path)
