"""Middleware that adds request ids and records metrics, logs and traces of every request. Pure ASGI."""

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import CallerError, DeadlineError, OverloadedError, ServiceError, UnavailableError
from server.telemetry.logs import RateLimit
from server.telemetry.metrics import Metrics
from server.telemetry.request_context import CURRENT, Answer, RequestContext
from server.telemetry.traces import Tracer, TraceSpan

logger = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
ACCEPTED_ID = re.compile(r"[\x21-\x7e]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace id, parent id, flags, later versions' fields.
TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
READ = frozenset({REQUEST_ID.encode(), b"traceparent", b"tracestate"})
OTHER = "other"
# Load shedding rather than defects; frequent under overload, so their log lines are rate-limited.
REFUSALS = (OverloadedError, UnavailableError, DeadlineError)
REFUSALS_LOGGED_EVERY_S = 10.0


class Instrumentation:
    """Middleware: assigns the request id, and records the outcome in metrics, log and trace."""

    def __init__(self, app: ASGIApp, routes: Iterable[str], metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._app = app
        self._routes = frozenset(routes)
        self._metrics = metrics
        self._tracer = tracer
        self._refusals = RateLimit(REFUSALS_LOGGED_EVERY_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request; pass other scopes (lifespan) through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = read_headers(scope["headers"])
        trail = RequestContext(choose_request_id(headers), time.monotonic(), trace_of(headers))
        span = self._tracer.begin(headers if trail.trace_id else {}) if self._tracer else None
        if span:
            trail.trace_id = span.trace_id
        scope.setdefault("state", {}).update(request_id=trail.request_id, started=trail.started)
        # Never reset: uvicorn logs a failed request afterwards, in the same task.
        CURRENT.set(trail)
        reply = _ObservedReply(send, trail.request_id)
        try:
            await self._app(scope, receive, reply)
        finally:
            self._note(scope, reply, trail, span)

    def _note(self, scope: Scope, reply: "_ObservedReply", trail: RequestContext, span: TraceSpan | None) -> None:
        # A truncated answer counts as a server error, whatever status it began with.
        code = reply.code if reply.whole else ServiceError.status
        seconds = time.monotonic() - trail.started
        # Popped to break a cycle: the frames of a re-raised error refer to the scope.
        answer = Answer(scope["method"], self._route(scope), code, seconds, scope["state"].pop("error", None))
        self._metrics.answered(answer.route, code, seconds)
        if answer.error:
            self._metrics.refuse(answer.error)
        if span:
            span.end(answer, trail)
        self._log(answer)

    def _route(self, scope: Scope) -> str:
        if route := scope.get("route"):
            return str(route.path)
        return scope["path"] if scope["path"] in self._routes else OTHER

    def _log(self, answer: Answer) -> None:
        level, more = _level(answer), ""
        if isinstance(answer.error, REFUSALS):
            held = self._refusals.admit(answer.reason, time.monotonic())
            level = logging.DEBUG if held is None else logging.INFO
            more = f"; {held} more since the last such line" if held else ""
        if not logger.isEnabledFor(level):
            return
        ended = f"{answer.code} {answer.reason}".rstrip()
        fields = {"method": answer.method, "route": answer.route, "code": answer.code, "seconds": answer.seconds}
        line = f"{answer.method} {answer.route} {ended} in {answer.seconds * 1e3:.1f} ms{more}"
        logger.log(level, line, extra={"fields": fields | ({"reason": answer.reason} if answer.reason else {})})


class _ObservedReply:
    """Adds the request id to the response, and records its status and whether it was sent completely."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._header = (REQUEST_ID.encode(), request_id.encode())
        self.code = 0
        self.whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
            message["headers"] = [*message.get("headers", ()), self._header]
        await self._send(message)
        self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers with the request id and trace context; repeated headers are joined by commas."""
    selected: dict[str, str] = {}
    for key, value in headers:
        if key in READ:
            name, text = key.decode(), value.decode("latin-1")
            selected[name] = f"{selected[name]},{text}" if name in selected else text
    return selected


def choose_request_id(headers: Mapping[str, str]) -> str:
    """Return the caller's request id if it is valid, else a random one."""
    given = headers.get(REQUEST_ID, "")
    return given if ACCEPTED_ID.fullmatch(given) else os.urandom(16).hex()


def trace_of(headers: Mapping[str, str]) -> str:
    """Return the trace id of `traceparent`, or an empty string if the header is missing or invalid."""
    match = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    if not match or (match[1] == "00" and match[3]):
        return ""
    return match[2]


def _level(answer: Answer) -> int:
    """Return WARNING for server errors, DEBUG for everything else."""
    ours = answer.code >= ServiceError.status and not isinstance(answer.error, CallerError)
    return logging.WARNING if ours else logging.DEBUG
