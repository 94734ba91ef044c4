"""The errors that the server answers with; the only module that knows HTTP statuses.

    ServiceError
    ├── CallerError     the request must change before it can succeed
    │   ├── MalformedError 400          ├── TooLargeError 413
    │   ├── UnauthorizedError 401       ├── UriTooLongError 414
    │   ├── ForbiddenError 403          ├── MediaTypeError 415
    │   ├── NotFoundError 404           ├── InvalidError 422
    │   ├── UnknownModelError 404       ├── HeadTooLargeError 431
    │   ├── MethodNotAllowedError 405   ├── ClientGoneError 499 (never sent)
    │   ├── SlowRequestError 408        ├── UnsupportedCodingError 501
    │   └── SpaceError 412              └── UnsupportedVersionError 505
    └── OurError        the same request may succeed later
        ├── OverloadedError 429         ├── UnavailableError 503
        └── InferenceError 500          └── DeadlineError 504
            ├── GraphInputError
            ├── GpuMemoryError
            └── DeviceLostError (ends the process)

`StartError` is separate: it ends the process before it serves. The exit statuses of the process are here, too.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

START_REFUSED = 3
INFERENCE_DIED = 4

# Why a request is refused: no queue space, its deadline, or the estimated patience of callers.
Cause = Literal["room", "deadline", "patience"]


class StartError(Exception):
    """The server cannot start; the message has one line per problem and says how to fix it."""


class ServiceError(Exception):
    """The server failed; its log says why, under the answer's x-request-id.

    `str(error)` is sent to the caller, so it never quotes the text of a request.
    """

    status: ClassVar[int] = 500
    error_type: ClassVar[str] = "internal"

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None, param: str | None = None) -> None:
        """`param` is the name of the invalid field, if known, in OpenAI's sense."""
        super().__init__(message)
        self.headers = dict(headers or {})
        self.param = param


class CallerError(ServiceError):
    """The caller's fault: the same request will fail again."""


class MalformedError(CallerError):
    """The body is not JSON, the bytes are not HTTP, or the header if-embedding-space is no id."""

    status = 400
    error_type = "malformed"


class UnauthorizedError(CallerError):
    """The API key is missing or wrong."""

    status = 401
    error_type = "unauthorized"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class ForbiddenError(CallerError):
    """A page of an origin that may not call has sent it."""

    status = 403
    error_type = "forbidden"


class NotFoundError(CallerError):
    """No such route."""

    status = 404
    error_type = "not_found"


class UnknownModelError(CallerError):
    """Another model than the one that is served was asked for."""

    status = 404
    error_type = "model_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="model")


class MethodNotAllowedError(CallerError):
    """The route does not support this method."""

    status = 405
    error_type = "method_not_allowed"


class SlowRequestError(CallerError):
    """The headers or the body did not arrive in time."""

    status = 408
    error_type = "timeout"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Connection": "close"})


class SpaceError(CallerError):
    """Vectors of another embedding space than the served one were asked for."""

    status = 412
    error_type = "space_mismatch"


class TooLargeError(CallerError):
    """More bytes or more texts than one request may hold."""

    status = 413
    error_type = "too_large"


class UriTooLongError(CallerError):
    """The target alone exceeds the limit on request line and headers."""

    status = 414
    error_type = "too_large"


class MediaTypeError(CallerError):
    """The body is not plain JSON by its own headers."""

    status = 415
    error_type = "unsupported_media_type"


class InvalidError(CallerError):
    """Well-formed JSON whose content cannot be served."""

    status = 422
    error_type = "validation"


class HeadTooLargeError(CallerError):
    """The request line and the headers are too long, or the headers too many."""

    status = 431
    error_type = "too_large"


class ClientGoneError(CallerError):
    """The caller hung up before the answer."""

    status = 499
    error_type = "client_gone"


class UnsupportedCodingError(CallerError):
    """The body is sent in a transfer coding other than chunked."""

    status = 501
    error_type = "not_implemented"


class UnsupportedVersionError(CallerError):
    """The HTTP version is not supported."""

    status = 505
    error_type = "http_version"


class OurError(ServiceError):
    """The server's fault: the same request may succeed later."""


class OverloadedError(OurError):
    """No room, or no time before the caller stops waiting; Retry-After estimates when there will be."""

    status = 429
    error_type = "overloaded"

    def __init__(self, message: str, retry_after_s: int, cause: Cause = "room") -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_s)})
        self.cause: Cause = cause


class InferenceError(OurError):
    """The engine raised, or its output is not unit vectors."""


class GraphInputError(InferenceError):
    """The graph rejects its input, such as a token id without an embedding."""


class GpuMemoryError(InferenceError):
    """The batch does not fit into GPU memory; a smaller one may."""


class DeviceLostError(InferenceError):
    """The GPU context of this process is lost; only a new process can use the GPU."""


class UnavailableError(OurError):
    """Not ready: starting, draining, or the engine fails."""

    status = 503
    error_type = "unavailable"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"Retry-After": "1"})


class DeadlineError(OurError):
    """The request was not computed within its time."""

    status = 504
    error_type = "timeout"


def alone(error: ServiceError) -> ServiceError:
    """Strip the traceback and chained exceptions off `error`, and return it.

    Their frames refer to the request and its body. If the request also refers to the error, that cycle would keep both
    in memory until garbage collection.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error
