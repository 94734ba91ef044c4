"""HTTP/1.1 on one connection, with the bounds that uvicorn leaves out.

uvicorn reads heads of any size for any time, takes any number of connections, and keeps what a caller does not read.
Here a head has a size and a deadline, connections have a number, an answer that is not taken is dropped, and what is
not HTTP gets an answer in the error shape. A connection has one timer, whose callback finds whatever is overdue; a
request only moves the due time.
"""

import asyncio
import logging
import math
from enum import Enum
from typing import ClassVar, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from server import errors, head
from server.errors import (
    MalformedError,
    OverloadedError,
    ServiceError,
    SlowRequestError,
    TooLargeError,
    UnavailableError,
)
from server.head import MAX_HEADER_FIELDS, Head
from server.lingering import Lingering
from server.terms import Terms

logger = logging.getLogger(__name__)

# Requests that may wait on one connection for the answers before theirs.
MAX_PIPELINED = 64
# Connections over the bound that may stay until the caller has read why; any others are closed at once.
MAX_SURPLUS = 32
# What a caller must take of an answer within RECEIVE_TIMEOUT_S.
LEAST_TAKEN_BYTES = 65_536
HOP_BY_HOP = frozenset({b"connection", b"upgrade", b"http2-settings"})


class Awaiting(Enum):
    """Which part of a request comes next on the wire."""

    REQUEST = "request"
    HEAD = "head"
    BODY = "body"


REQUEST, HEAD, BODY = Awaiting


def bounded(terms: Terms) -> type[HttpToolsProtocol]:
    """Make the protocol class that uvicorn is to use under `terms`."""
    return type("BoundedConnection", (Connection,), {"terms": terms})


class Connection(HttpToolsProtocol):
    """uvicorn's protocol within bounds. `transport` is what answers are written to, `_socket` what it stands on."""

    terms: ClassVar[Terms]
    transport: Lingering
    _socket: asyncio.Transport
    _timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first head, or refuse the connection where there are too many."""
        super().connection_made(transport)
        self._socket = transport
        self.transport = Lingering(transport, self._close)
        self._awaiting = REQUEST
        self._begun_in_this_chunk = False
        self._chunk_bytes = self._received_bytes = self._untaken_bytes = 0
        self._refusal: ServiceError | None = None
        self._closing = self._ended = False
        self._taken_at = self.loop.time()
        self._due = self._taken_at + self.terms.receive_timeout_s
        self._arm(self._taken_at)
        self._check_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._timer.cancel()
        self.terms.unread.discard(self)
        self._closing = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, within the bounds on heads and bodies; whatever that raises, the caller is answered."""
        self._chunk_bytes = len(data)
        if not self._closing and not self._refusal:
            try:
                self._parse(data)
            except Exception as error:  # noqa: BLE001 - without an answer the caller would wait for nothing
                self._refuse(self._refusal or _not_http(error))
            if self._refusal:  # Kept until the caller has gone, it must not keep the frames that it came through.
                self._refusal.__traceback__ = self._refusal.__context__ = None
        if self._awaiting is not REQUEST or self._closing:
            self._count()

    def eof_received(self) -> None:
        """Answer what can no longer become a request. After a whole one, the caller has hung up, as uvicorn has it."""
        self.transport.flush()  # uvloop closes the socket next
        self._ended = True
        if self._awaiting is HEAD or (self._awaiting is BODY and self._owes()):
            self._refuse(MalformedError("the connection was closed before the request was whole"))

    def pause_writing(self) -> None:
        """Count the answer that the caller is slow to take."""
        super().pause_writing()
        self.terms.unread.add(self)

    def resume_writing(self) -> None:
        """Nearly all of it is taken."""
        super().resume_writing()
        self.terms.unread.discard(self)

    @property
    def held_bytes(self) -> int:
        """How much memory the answer holds that the caller is slow to take."""
        return self.transport.written_bytes

    def drop(self) -> None:
        """Close at once, whatever the caller has not taken yet."""
        self._socket.abort()

    def shutdown(self) -> None:
        """Close an idle connection, and a busy one after its answer, without waiting for the caller to read it."""
        super().shutdown()
        if self._closing:
            self._socket.close()

    def on_message_begin(self) -> None:
        """Start the clock for a head; the first one's runs since the connection was accepted."""
        super().on_message_begin()
        self._awaiting = HEAD
        self._begun_in_this_chunk = True
        self._received_bytes = 0
        if self.cycle is not None:
            self._due = self.loop.time() + self.terms.receive_timeout_s

    def on_headers_complete(self) -> None:
        """Start the request, unless its head breaks a rule or a bound."""
        self._check_head()
        if self.parser.should_upgrade():
            return  # The parser would skip the body; `_parse` lets it read the request again.
        self.url = head.with_path(self.url)
        before = self.cycle
        try:
            super().on_headers_complete()
        except Exception:
            self.cycle = before  # It has begun nothing, and the answers before it are still owed.
            raise
        self._awaiting = BODY
        self._due = math.inf
        self.headers = []  # for trailers, which nothing reads
        if self.terms.draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Note that the next byte belongs to another request."""
        if self._awaiting is HEAD:
            return
        super().on_message_complete()
        self._awaiting = REQUEST
        if self.cycle.response_complete:
            self._due = self.loop.time() + self.timeout_keep_alive

    def on_response_complete(self) -> None:
        """Go on with the requests that wait, and after the last one with the refusal, or with waiting for another."""
        last = not self.pipeline
        super().on_response_complete()
        self._unset_keepalive_if_required()  # There is one clock here.
        if not last or self.transport.is_closing():
            return
        if self._refusal:
            self._say(self._refusal)
        elif self._awaiting is BODY and self.expect_100_continue:
            # Told no, the caller may send the body or leave it out: what comes next cannot be known.
            self.transport.close()
        elif self._awaiting is not HEAD:
            idle = self._awaiting is REQUEST
            self._due = self.loop.time() + (self.timeout_keep_alive if idle else self.terms.receive_timeout_s)

    def _check_room(self) -> None:
        surplus = len(self.connections) - self.terms.max_connections
        if surplus > 0:
            self._refuse(UnavailableError(f"{self.terms.max_connections} connections are open (MAX_CONNECTIONS)"))
        if surplus > MAX_SURPLUS:
            self._socket.close()

    def _check_head(self) -> None:
        seen, limit = self._head(), self.terms.max_header_bytes
        if self._received_bytes + self._chunk_bytes > limit and seen.size > limit:
            self._stop(head.too_large(seen, limit))
        try:
            head.check(seen)
        except ServiceError as error:
            self._stop(error)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(OverloadedError(f"{MAX_PIPELINED} requests wait on this connection; read their answers", 1))

    def _head(self) -> Head:
        return Head(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)

    def _stop(self, error: ServiceError) -> NoReturn:
        """End parsing from within a callback; the parser turns this into its own error."""
        self._refuse(error)
        raise error

    def _count(self) -> None:
        """Hold the request that is on the wire to its bound; the chunk that it began in is not counted."""
        self._received_bytes += 0 if self._begun_in_this_chunk else self._chunk_bytes
        self._begun_in_this_chunk = False
        if self._closing:
            if self._received_bytes > self.terms.max_wire_bytes:
                self._socket.close()
        elif self._awaiting is HEAD:
            if self._received_bytes > self.terms.max_header_bytes:
                self._refuse(head.too_large(self._head(), self.terms.max_header_bytes))
        elif self._received_bytes > self.terms.max_wire_bytes or len(self.headers) > MAX_HEADER_FIELDS:
            self._refuse(TooLargeError("the body's chunks or trailers take too much beside it (MAX_BODY_BYTES)"))

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            again = self._without_upgrade() + data[upgrade.args[0] :]
            self._chunk_bytes = len(again)
            self._parse(again)

    def _without_upgrade(self) -> bytes:
        """Return the head as if it asked for no other protocol (RFC 9110, 7.8: a server may ignore that), to be parsed.

        Java's HttpClient and `curl --http2` ask for h2c with whatever they post.
        """
        method, target, version, fields = self._head()
        lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
        lines += [b"%b: %b" % field for field in fields if field[0] not in HOP_BY_HOP]
        if not self.parser.should_keep_alive():
            lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _owes(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, error: ServiceError) -> None:
        """Answer `error` after the answers that are owed, then close; nothing more is parsed."""
        if self._refusal or self._closing:
            return
        self._refusal = error
        self._due = math.inf
        self.terms.refused(error)
        if self._awaiting is BODY:
            self._give_up_last(error)
        elif not self._owes():
            self._say(error)

    def _give_up_last(self, error: ServiceError) -> None:
        """Give up the request whose body will never be whole: its answer is `error`, unless another has begun."""
        if self.pipeline:
            self.pipeline.popleft()
        elif self.cycle.response_complete:
            self.transport.close()
        elif self.cycle.response_started:
            self.cycle.keep_alive = False
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._say(error)

    def _say(self, error: ServiceError) -> None:
        response = errors.to_response(error, self.url.decode("latin-1") if self.scope else "")
        headers = [*self.server_state.default_headers, *response.raw_headers]
        lines = [b"%b: %b\r\n" % header for header in headers if header[0] != b"connection"]
        lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _close(self) -> None:
        """Close once the caller can have read the last answer: bytes that meet a closed socket would destroy it."""
        if self._closing:
            return
        self._closing = True
        if self._ended or (self._awaiting is REQUEST and not self._refusal):
            self._socket.close()
            return
        self._socket.write_eof()
        self.flow.resume_reading()
        self._received_bytes = 0
        self._due = self.loop.time() + self.terms.receive_timeout_s

    def _arm(self, now: float) -> None:
        # No due time is set nearer than two turns, so none passes between them.
        turn = min(self.terms.receive_timeout_s, self.timeout_keep_alive) / 2
        self._timer = self.loop.call_at(min(self._due, now + turn), self._tick)

    def _tick(self) -> None:
        now = self.loop.time()
        if self._stalled(now):
            self.drop()
            return
        if now >= self._due:
            self._expire(now)
        self._arm(now)

    def _stalled(self, now: float) -> bool:
        """Whether an answer waits of which the caller has taken too little for as long as allowed."""
        untaken = self._socket.get_write_buffer_size()
        if not untaken or not 0 <= self._untaken_bytes - untaken < LEAST_TAKEN_BYTES:
            self._untaken_bytes, self._taken_at = untaken, now
        return now - self._taken_at >= self.terms.receive_timeout_s

    def _expire(self, now: float) -> None:
        if self.flow.read_paused and not self._closing:
            self._due = now + self.terms.receive_timeout_s  # It is we who do not read.
        elif self._awaiting is HEAD and not self._closing:
            limit = f"{self.terms.receive_timeout_s:g} s (RECEIVE_TIMEOUT_S)"
            self._refuse(SlowRequestError(f"the headers did not arrive within {limit}"))
        else:
            self._due = math.inf
            self._socket.close()


def _not_http(error: Exception) -> MalformedError:
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if not isinstance(cause, httptools.HttpParserError):
        logger.warning("a request could not be taken: %s", type(cause).__name__)
    return MalformedError(f"this is not an HTTP/1.1 request: {error}")
