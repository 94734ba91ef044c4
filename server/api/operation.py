"""One method of one path as the OpenAPI document describes it, and what is served as it describes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from server import errors
from server.errors import ServiceError
from server.model.manifest import Manifest

JSON = "application/json"
COMPONENTS = "#/components/schemas/"
OPENAI_PATHS = "/v1/"

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

Schema = dict[str, Any]
Examples = Mapping[str, object]


def ref(name: str) -> Schema:
    """Refer to the schema `name`."""
    return {"$ref": COMPONENTS + name}


def no_examples(_: Manifest) -> Examples:
    """Show nothing."""
    return {}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `path` is a pattern of Starlette's. `body` is the type of the request's; without one the method is GET. Of its
    fields in `one_of` exactly one is sent. `examples` are bodies for one model. `answer` may refer to `types` by their
    names. `links` are OpenAPI's, `media` is the answer's type, `vectors` says that headers tell of the work, `open`
    that no key is asked for.
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
    vectors: bool = False
    open: bool = False

    @property
    def method(self) -> str:
        """The HTTP method; where it is GET, HEAD is served too."""
        return "POST" if self.body else "GET"

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return self.path.replace(":path}", "}")

    @property
    def openai(self) -> bool:
        """Whether errors have OpenAI's shape."""
        return self.path.startswith(OPENAI_PATHS)
