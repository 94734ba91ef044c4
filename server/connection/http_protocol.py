"""HTTP/1.1 on one connection, with the limits that uvicorn lacks.

uvicorn limits neither the size of a head nor the time to receive it, nor the number of connections, and it buffers
answers that are not read. Here all of these are limited, and input that is not HTTP gets an error answer of the usual
shape.
"""

import logging
from typing import NoReturn

import httptools

from server import errors
from server.connection import request_head
from server.connection.bounds import ConnectionBounds
from server.connection.http_connection import Connection
from server.connection.request_head import MAX_HEADER_FIELDS, OLDEST, Head
from server.connection.request_progress import BODY, HEAD, REQUEST
from server.errors import MalformedError, OverloadedError, ServiceError, TooLargeError
from server.system.memory import REQUEST_BYTES, USUAL_HEAD_BYTES

logger = logging.getLogger(__name__)

# Pipelined requests that one connection may queue.
MAX_PIPELINED = 64


def bounded(bounds: ConnectionBounds) -> type[Connection]:
    """Return uvicorn's protocol class, bound to `bounds`."""
    return type("BoundProtocol", (HttpProtocol,), {"bounds": bounds})


class HttpProtocol(Connection):
    """A connection that parses requests."""

    def data_received(self, data: bytes) -> None:
        """Parse `data` within the limits on heads and bodies; any exception is answered with an error."""
        self._progress.take(len(data))
        if not self._closing and not self._refusal:
            try:
                self._parse(data)
            except Exception as error:  # noqa: BLE001 - the caller must get an answer
                self._refuse(self._refusal or _not_http(error))
            if self._refusal:  # It is kept until the connection ends; its traceback must not keep frames alive.
                errors.alone(self._refusal)
        if self._progress.awaiting is not REQUEST or self._closing:
            self._count()
        self._hold()
        self._note_use()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Refuse an incomplete request; return True to keep the connection open while answers are pending."""
        self.transport.flush()
        if self._closing or self._ended:
            return not self._closing  # called again when paused reading resumes
        self._ended = True
        if self._progress.awaiting is HEAD or (self._progress.awaiting is BODY and self._has_pending_answer()):
            self._refuse(MalformedError("the connection was closed before the request was whole"))
        if self._closing or not self._has_pending_answer():
            return False
        self._watch_caller()
        return True

    def on_message_begin(self) -> None:
        """Start the timeout of a head; that of the first began when the connection was accepted."""
        super().on_message_begin()
        self._progress.begin_head(self.loop.time())

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is invalid or too large; in the reserve only probes are served."""
        self._check_head()
        settled = self.bounds.connections.settle(self, self.loop.time())
        if not settled and not self._head().is_probe:
            self._stop(self._no_room())
        if self.parser.should_upgrade():
            return  # The parser would skip the body; `_parse` feeds it the request again without the upgrade.
        self.url = request_head.with_path(self.url)
        # HTTP/1.0 has no interim responses: the caller would mistake it for the answer (RFC 9110, 10.1.1).
        self.expect_100_continue = self.expect_100_continue and self.parser.get_http_version() != OLDEST
        before = self.cycle
        try:
            super().on_headers_complete()
        except Exception:
            self.cycle = before  # It was not started, and earlier answers are still pending.
            raise
        self._progress.end_head()
        self._heads_bytes += self._head().memory
        if self._head().method == b"POST":
            self._heads_bytes += REQUEST_BYTES
        self.headers = []  # later fields are trailers, which are ignored
        if self.bounds.state.stopping or not settled:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End the body; the next byte belongs to another request."""
        if self._progress.awaiting is HEAD:
            return
        super().on_message_complete()
        self._progress.end_body()
        if self.cycle.response_complete:
            self._forget_request()
            self._progress.answer(self.loop.time())

    def on_response_complete(self) -> None:
        """Start the next pipelined request; after the last, send a pending refusal, close, or await another request."""
        last = not self.pipeline
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the connection's own timer replaces uvicorn's
        if not last or self.transport.is_closing():
            return
        self._forget_request()
        self._hold()
        if self._refusal:
            self._write_error(self._refusal)
        elif self._ended:
            self.transport.close()
        elif self._progress.awaiting is BODY and self.expect_100_continue:
            # Without 100 Continue the caller may send the body or not, so the next bytes are ambiguous.
            self.transport.close()
        else:
            self._progress.answer(self.loop.time())
        self._note_use()

    def _check_head(self) -> None:
        seen, limit = self._head(), self.bounds.max_header_bytes
        if self._progress.arriving > limit and seen.size > limit:
            self._stop(request_head.too_large(seen, limit))
        try:
            request_head.check(seen)
        except ServiceError as error:
            self._stop(error)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(OverloadedError(f"{MAX_PIPELINED} requests wait on this connection; read their answers", 1))

    def _head(self) -> Head:
        return Head(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)

    def _stop(self, error: ServiceError) -> NoReturn:
        """Abort parsing from within a callback; the parser wraps the exception in its own."""
        self._refuse(error)
        raise error

    def _count(self) -> None:
        """Check the size of the request being received; the chunk in which it began is not counted."""
        self._progress.count()
        if self._closing:
            if self._progress.received > self.bounds.max_wire_bytes:
                self._socket.close()
        elif self._progress.awaiting is HEAD:
            if self._progress.received > self.bounds.max_header_bytes:
                self._refuse(request_head.too_large(self._head(), self.bounds.max_header_bytes))
        elif self._progress.received > self.bounds.max_wire_bytes or len(self.headers) > MAX_HEADER_FIELDS:
            self._refuse(TooLargeError("the body's chunks or trailers take too much beside it (MAX_BODY_BYTES)"))

    def _hold(self) -> None:
        """Claim memory for heads and for pipelined bodies; refuse the request if there is none.

        The body of the request being served is counted by the application.
        """
        heads = self._heads_bytes
        if self._progress.awaiting is HEAD:
            # The parser buffers an incomplete field without exposing its size.
            partly = min(self._progress.seen, self.bounds.max_header_bytes)
            heads += max(self._head().memory, partly)
        try:
            self._memory.hold(max(0, heads + self.flow.ahead_bytes - USUAL_HEAD_BYTES))
        except OverloadedError as error:
            self._refuse(errors.alone(error))

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            replay = self._head().without_upgrade(self.parser.should_keep_alive()) + data[upgrade.args[0] :]
            self._progress.take(len(replay))
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._parse(replay)


def _not_http(error: Exception) -> MalformedError:
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if not isinstance(cause, httptools.HttpParserError):
        logger.warning("a request could not be taken: %s", type(cause).__name__)
    return MalformedError(f"this is not an HTTP/1.1 request: {error}")
