"""Renders errors as responses: as OpenAI and Cohere do under their paths, flat elsewhere."""

from collections.abc import Iterable
from typing import Annotated, Literal, TypedDict

import msgspec
import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from server.api.operation import JSON, error_shape
from server.errors import CallerError, MethodNotAllowedError, NotFoundError, ServiceError

Family = Literal["invalid_request_error", "server_error"]


class FlatError(TypedDict):
    """What went wrong."""

    error: Annotated[str, msgspec.Meta(description="What is wrong, with which item, and what the limit is.")]
    error_type: Annotated[str, msgspec.Meta(description="The kind of error, for programs.")]


class OpenAIError(TypedDict):
    """What went wrong, in the fields that OpenAI's clients read."""

    message: Annotated[str, msgspec.Meta(description="What is wrong, with which item, and what the limit is.")]
    type: Annotated[Family, msgspec.Meta(description="Whose fault it is: the request's or the server's.")]
    param: Annotated[str | None, msgspec.Meta(description="The field at fault, where there is one.")]
    code: Annotated[str, msgspec.Meta(description="The kind of error, for programs.")]


class NestedError(TypedDict):
    """An error as OpenAI's clients read it."""

    error: OpenAIError


class CohereError(TypedDict):
    """An error as Cohere's clients read it."""

    message: Annotated[str, msgspec.Meta(description="What is wrong, with which item, and what the limit is.")]


def from_http(error: HTTPException, method: str, path: str, methods: Iterable[str], hint: str) -> ServiceError:
    """Convert Starlette's 404 and 405 to service errors, so that all errors have the same shape.

    `methods` are those of the path's routes, and `hint` says what to request instead of an unknown path.
    """
    if error.status_code == MethodNotAllowedError.status:
        allowed = ", ".join(sorted(methods))
        return MethodNotAllowedError(f"{path} does not take {method}; it takes {allowed}", headers={"Allow": allowed})
    return NotFoundError(f"there is no {path} here; {hint}; GET /docs shows every route")


def to_response(error: ServiceError, path: str) -> Response:
    """Render an error in the dialect of `path`: OpenAI's nested object, Cohere's, or a flat one."""
    render = {"NestedError": nested, "CohereError": cohere, "FlatError": flat}[error_shape(path)]
    return Response(orjson.dumps(render(error)), error.status, error.headers, JSON)


def flat(error: ServiceError) -> FlatError:
    """Render an error in the flat shape of all routes except OpenAI's."""
    return {"error": str(error), "error_type": error.error_type}


def cohere(error: ServiceError) -> CohereError:
    """Render an error in Cohere's shape."""
    return {"message": str(error)}


def nested(error: ServiceError) -> NestedError:
    """Render an error in OpenAI's nested shape."""
    family: Family = "invalid_request_error" if isinstance(error, CallerError) else "server_error"
    return {"error": {"message": str(error), "type": family, "param": error.param, "code": error.error_type}}
