"""Middleware that checks API key, origin, headers, size and admission before a handler runs. Pure ASGI."""

import hmac
import logging
import re
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import errors
from server.api.error_answer import to_response
from server.connection.request_head import PROBES
from server.errors import (
    ForbiddenError,
    InvalidError,
    MalformedError,
    MediaTypeError,
    ServiceError,
    SpaceError,
    TooLargeError,
    UnauthorizedError,
)
from server.model import space
from server.model.space import Space
from server.settings import Settings
from server.system.memory import REQUESTS, Claim, Memory

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT = "x-request-timeout-ms"
IF_SPACE = "if-embedding-space"
# Probes carry no key, nor do load balancers and browsers that request the page at `/`.
OPEN_PATHS = frozenset(path.decode() for path in PROBES)
INDEX_PATH = "/"
READS = frozenset({"GET", "HEAD"})
MILLISECONDS = re.compile(r"0{0,8}[1-9][0-9]{0,17}")
# JSON is UTF-8 (RFC 8259, 8.1), of which ASCII is a subset.
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
DEFAULT_PORTS = (":80", ":443")
JSON_TYPE = re.compile(r"application/([a-z0-9.-]+\+)?json", re.IGNORECASE)


class Guard:
    """Middleware that refuses invalid requests early, and renders every exception as an error response."""

    def __init__(
        self, app: ASGIApp, settings: Settings, check_room: Callable[[float], None], memory: Memory, served: Space
    ) -> None:
        """`check_room` raises if no request can finish by a deadline, in time.monotonic() seconds.

        It is called here, before the body is read, because under overload most requests are refused by it. Request
        bodies are accounted in `memory`; `served` is the space of the vectors.
        """
        self._app = app
        self._check_room = check_room
        self._max_body_bytes = settings.max_body_bytes
        self._memory = memory
        self._served = served
        self._timeout_s = settings.request_timeout_s
        self._origins = frozenset(settings.cors_allow_origin)
        self._keys = [key.encode() for key in settings.api_key.reveal()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; pass other scopes (lifespan) through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        started = time.monotonic()
        state = scope.setdefault("state", {})
        reply = _Reply(send)
        try:
            self._check(scope["path"], scope["method"], headers)
            state["deadline"] = started + choose_timeout(headers, self._timeout_s)
            # Patience is estimated from callers that state no timeout.
            state["since"] = None if REQUEST_TIMEOUT in headers else started
            if scope["method"] == "POST":
                self._check_room(state["deadline"])
            with self._memory.claim(REQUESTS) as claim:
                state["claim"] = claim
                await self._app(scope, limited(receive, self._max_body_bytes, claim), reply)
        except Exception as error:  # noqa: BLE001 - without an answer the caller would hang
            await _answer(error, scope, receive, reply)

    def _check(self, path: str, method: str, headers: Headers) -> None:
        if self._keys and not is_open(method, path):
            check_key(headers, self._keys)
        if method == "POST":
            check_origin(headers, self._origins)
            check_media(headers)
            check_space(headers, self._served)
        check_length(headers, self._max_body_bytes)


class _Reply:
    """Records whether the response has started."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
        await self._send(message)


def is_open(method: str, path: str) -> bool:
    """Return whether a request needs no API key."""
    return path in OPEN_PATHS or (path == INDEX_PATH and method in READS)


def choose_timeout(headers: Headers, limit_s: float) -> float:
    """Return the request timeout in seconds: `limit_s`, or less if the header says so.

    Raises:
        InvalidError: the header is not a single positive integer.
    """
    given = headers.getlist(REQUEST_TIMEOUT)
    if not given:
        return limit_s
    if len(given) > 1 or not MILLISECONDS.fullmatch(given[0]):
        raise InvalidError(f"{REQUEST_TIMEOUT} must be one whole number of milliseconds, 1 or more")
    return min(limit_s, int(given[0]) / 1000)


def check_space(headers: Headers, served: Space) -> None:
    """Check that a caller which says what vectors it expects gets no others.

    Raises:
        MalformedError: the header is not a single id; what was sent is not quoted.
        SpaceError: it names another space than `served`.
    """
    given = headers.getlist(IF_SPACE)
    if not given:
        return
    try:
        expected = space.parse(given[0].strip() if len(given) == 1 else "")
    except ValueError as error:
        raise MalformedError(f"{IF_SPACE} {error}; send one, once") from None
    if not expected.admits(served):
        raise SpaceError(f"{IF_SPACE} asks for vectors of {expected}; this server's are of {served}")


def check_key(headers: Headers, keys: Iterable[bytes]) -> None:
    """Compare the bearer key with all valid keys in constant time.

    Raises:
        UnauthorizedError: no key, several keys or a wrong key was sent.
    """
    given = headers.getlist("authorization")
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    candidate = key.strip().encode("latin-1")
    matches = [hmac.compare_digest(candidate, known) for known in keys]
    if scheme.lower() != "bearer" or not any(matches):
        raise UnauthorizedError("send a valid API key, once, as the header `Authorization: Bearer KEY`")


def check_origin(headers: Headers, allowed: Collection[str]) -> None:
    """Refuse cross-site POSTs, which a browser sends without a preflight if their content type is text/plain.

    Same-origin pages may post: either `Sec-Fetch-Site` says so (https://www.w3.org/TR/fetch-metadata/), or the Origin
    matches the Host, or behind a proxy `X-Forwarded-Host`, which no page can set.

    Raises:
        ForbiddenError: the Origin is neither this server's nor in `allowed`.
    """
    origins = headers.getlist("origin")
    if not origins or "*" in allowed or all(origin in allowed for origin in origins):
        return
    if headers.get("sec-fetch-site") == "same-origin":
        return
    hosts = {_authority(host) for name in ("host", "x-forwarded-host") for host in headers.getlist(name) if host}
    if len(origins) > 1 or _authority(origins[0].partition("://")[2]) not in hosts:
        raise ForbiddenError("pages of this origin may not call: name it in CORS_ALLOW_ORIGIN, or send no Origin")


def check_media(headers: Headers) -> None:
    """Accept uncompressed JSON in UTF-8. A body without Content-Type is assumed to be JSON.

    Raises:
        MediaTypeError: the headers declare something else.
    """
    for given in headers.getlist("content-type"):
        media, *parameters = (part.strip() for part in given.split(";"))
        if not JSON_TYPE.fullmatch(media):
            shown = _shown(media)
            raise MediaTypeError(f"the body is {shown}; send JSON with the header `Content-Type: application/json`")
        for charset in _charsets(parameters):
            if charset not in CHARSETS:
                raise MediaTypeError(f"the body's charset is {_shown(charset)}; send JSON in UTF-8")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise MediaTypeError(f"Content-Encoding {_shown(encoding)} is not supported; send the body uncompressed")


def _charsets(parameters: Iterable[str]) -> Iterator[str]:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            yield value.strip().strip('"').lower()


def _authority(host: str) -> str:
    host = host.strip().lower()
    return host.rpartition(":")[0] if host.endswith(DEFAULT_PORTS) else host


def check_length(headers: Headers, limit: int) -> None:
    """Check Content-Length before the body is read.

    Raises:
        TooLargeError: it is longer than `limit` bytes.
    """
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)


def limited(receive: Receive, limit: int, claim: Claim) -> Receive:
    """Wrap `receive` to raise if the body exceeds `limit` bytes, or memory has no room for its `claim`."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        if size := len(message.get("body", b"")):
            received += size
            if received > limit:
                raise _too_large(limit)
            claim.hold(received)
        return message

    return counted


async def _answer(error: Exception, scope: Scope, receive: Receive, reply: _Reply) -> None:
    if not isinstance(error, ServiceError):
        _log(error)
        error = ServiceError("internal error; the log holds more under this answer's x-request-id")
    scope["state"]["error"] = errors.alone(error)
    if reply.begun:
        raise error from None  # the server then aborts the connection, so the caller notices the truncated answer
    await to_response(error, scope["path"])(scope, receive, reply)


def _log(error: Exception) -> None:
    # Without the message, which may quote the user's text.
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("the request failed: %s", type(error).__name__, extra={"traceback": frames})


def _too_large(limit: int) -> TooLargeError:
    # The rest of the body is not read, so the connection cannot be reused.
    return TooLargeError(f"the body is longer than {limit} bytes (MAX_BODY_BYTES)", headers={"Connection": "close"})


def _shown(value: str) -> str:
    return repr(value[:80])
