"""One server connection: its slot, its timeouts, how it refuses requests, and how it closes.

Each connection has a single timer, whose callback checks all deadlines; a request only moves the due time.
"""

import asyncio
import math
from typing import ClassVar

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from server.connection.bounds import ConnectionBounds
from server.connection.connection_limit import Use
from server.connection.half_closed import INTERIM, HalfClosed
from server.connection.reading import PipelineFlow
from server.connection.request_progress import BODY, HEAD, REQUEST, RequestProgress
from server.connection.slow_reader import SlowReader
from server.connection.transport import CoalescingTransport
from server.connection.write_backlog import WINDOW_S
from server.errors import ServiceError, SlowRequestError, UnavailableError
from server.system.memory import CONNECTIONS
from server.system.suspension import suspended_s

# During shutdown: how long to wait for the caller to close after its last answer, and to read 64 KiB of an answer.
STOPPING_LINGER_S = 1.0
STOPPING_READ_S = 5.0


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with limits. Answers are written to `transport`, which coalesces writes to `_socket`."""

    bounds: ClassVar[ConnectionBounds]
    transport: CoalescingTransport
    flow: PipelineFlow
    _socket: asyncio.Transport
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first head, or refuse the connection if there are too many."""
        super().connection_made(transport)
        self._socket = transport
        self.transport = CoalescingTransport(transport, self._close)
        self.flow = PipelineFlow(transport, self.pipeline)
        self._memory = self.bounds.memory.claim(CONNECTIONS)
        self._heads_bytes = 0
        self._refusal: ServiceError | None = None
        self._closing = self._ended = False
        self._running: RequestResponseCycle | None = None
        self._half_closed: HalfClosed | None = None
        now = self.loop.time()
        self._slow_reader = SlowReader(now)
        self._progress = RequestProgress(self.bounds.receive_timeout_s, self.timeout_keep_alive, now)
        self._arm()
        if not self.bounds.connections.enter(self, now):
            self._refuse(self._no_room())
            self._socket.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers, notify the request being served, and break all reference cycles."""
        if self._timer:
            self._timer.cancel()
        if self._half_closed:
            self._half_closed.stop()
        if self._running:  # uvicorn notifies only the latest request.
            self._running.disconnected = not self._running.response_complete
            self._running.message_event.set()
        self.bounds.connections.leave(self)
        self.bounds.unread.discard(self)
        self._memory.release()
        self._closing = True
        super().connection_lost(exc)
        self.pipeline.clear()
        self.cycle = self._running = self._half_closed = None  # type: ignore[assignment]  # uvicorn's initial value
        self.transport.detach()

    def pause_writing(self) -> None:
        """Add the unread answer to the write backlog."""
        super().pause_writing()
        self.bounds.unread.add(self, self.loop.time())
        self._arm()
        self._note_use()

    def resume_writing(self) -> None:
        """Remove the answer from the write backlog; nearly all of it has been read."""
        super().resume_writing()
        self.bounds.unread.discard(self)
        self._note_use()

    @property
    def held_bytes(self) -> int:
        """Bytes of memory held by an answer in the write backlog."""
        return self.transport.written_bytes

    @property
    def unread_bytes(self) -> int:
        """Bytes of the answer that the kernel has not taken yet."""
        return self._socket.get_write_buffer_size()

    def drop(self) -> None:
        """Close at once, discarding unsent data."""
        self._socket.abort()

    def evict(self) -> None:
        """Close to free the slot for another connection; at most an incomplete head is lost."""
        if self._progress.awaiting is HEAD and not self._closing:
            self._refuse(SlowRequestError("the headers did not arrive while other connections waited for this one"))
        self.transport.flush()
        self._socket.close()

    def shutdown(self) -> None:
        """Close now if idle, else after the current answer, without waiting for the caller to read it."""
        super().shutdown()
        if self._closing:
            self._socket.close()

    def drop_if_slow(self) -> None:
        """During shutdown, refuse requests with incomplete bodies, and drop callers that do not read their answers."""
        if self._progress.awaiting is BODY and self._has_pending_answer() and not self._refusal:
            self._refuse(UnavailableError("the server stops, and the request is not whole yet; send it again"))
        elif self._slow_reader.stalled(self.unread_bytes, self.loop.time(), STOPPING_READ_S):
            self.drop()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _forget_request(self) -> None:
        """Drop an answered request: an idle connection would keep its head and part of its body in memory."""
        self._running = None
        self._heads_bytes = 0
        if self._closing:
            self.cycle = None  # type: ignore[assignment]  # uvicorn's initial value
        else:
            self.cycle.body, self.cycle.scope = bytearray(), None  # type: ignore[assignment]
        if self._closing or self._progress.awaiting is not HEAD:
            self.scope = None  # type: ignore[assignment]
            self.url, self.headers = b"", []

    def _watch_caller(self) -> None:
        """Start checking whether the caller, which sent FIN, has hung up."""
        running = self._running
        self._half_closed = HalfClosed(self._socket, self.drop)
        if running and running.scope["http_version"] != "1.1":
            self._half_closed.wait()
            return
        if running and not running.response_started:
            self._socket.write(INTERIM)
        self._half_closed.poll()

    def _note_use(self) -> None:
        if not self._socket.is_closing():
            self.bounds.connections.note(self, self._use(), self.loop.time())

    def _use(self) -> Use:
        if self.flow.write_paused:  # closing it would only wait for the caller to read
            return Use.BUSY
        if self._closing:
            return Use.CLOSING
        if self._has_pending_answer() or self._progress.awaiting is BODY:
            return Use.BUSY
        if self._progress.awaiting is HEAD:
            return Use.HEAD
        return Use.IDLE if self.cycle else Use.SILENT

    def _no_room(self) -> UnavailableError:
        return UnavailableError(
            f"{self.bounds.connections.limit} connections are open (MAX_CONNECTIONS), none of them idle"
        )

    def _has_pending_answer(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, error: ServiceError) -> None:
        """Answer `error` after all pending answers, then close; nothing more is parsed."""
        if self._refusal or self._closing:
            return
        self._refusal = error
        self._progress.await_nothing()
        self.bounds.refused(error)
        if self._progress.awaiting is BODY:
            self._abandon_last_request(error)
        elif not self._has_pending_answer():
            self._write_error(error)

    def _abandon_last_request(self, error: ServiceError) -> None:
        """Abandon the request whose body will stay incomplete; answer it with `error` unless its answer has begun."""
        if self.pipeline:
            self.pipeline.popleft()
        elif self.cycle.response_complete:
            self.transport.close()
        elif self.cycle.response_started:
            self.cycle.keep_alive = False
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._write_error(error)

    def _write_error(self, error: ServiceError) -> None:
        answer = self.bounds.answer(error, self.url.decode("latin-1") if self.scope else "")
        headers = [*self.server_state.default_headers, *answer.raw_headers]
        lines = [b"%b: %b\r\n" % header for header in headers if header[0] != b"connection"]
        lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([STATUS_LINE[answer.status_code], *lines, b"\r\n", bytes(answer.body)]))
        self.transport.close()

    def _close(self) -> None:
        """Linger, then close: bytes that arrive at a closed socket cause a reset, which can destroy the last answer."""
        if self._closing:
            return
        self._closing = True
        self.pipeline.clear()  # they will not be answered
        self._forget_request()
        if self._ended or (self._progress.awaiting is REQUEST and not self._refusal):
            self._socket.close()
            return
        self._socket.write_eof()
        self.flow.resume_reading()
        linger_s = self.bounds.receive_timeout_s
        if self.bounds.state.stopping:
            linger_s = min(linger_s, STOPPING_LINGER_S)
        self._progress.linger(linger_s, self.loop.time())
        self._arm()
        self._note_use()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        now = self.loop.time()
        at = min(self._progress.next_check(now), now + WINDOW_S if self.flow.write_paused else math.inf)
        self._timer = self.loop.call_at(at, self._tick, at)

    def _tick(self, meant: float) -> None:
        now = self.loop.time()
        if late := suspended_s(meant, now):
            self._progress.extend(late)
            self._slow_reader.extend(late)
            self.bounds.unread.extend(self, late)
        self.bounds.unread.enforce(now)
        if self._slow_reader.stalled(self.unread_bytes, now, self.bounds.receive_timeout_s):
            self.drop()
            return
        if now >= self._progress.due:
            self._expire(now)
        self._arm()

    def _expire(self, now: float) -> None:
        if self.flow.read_paused and not self._closing:
            self._progress.restart_timeout(now)
        elif self._progress.awaiting is HEAD and not self._closing:
            limit = f"{self.bounds.receive_timeout_s:g} s (RECEIVE_TIMEOUT_S)"
            self._refuse(SlowRequestError(f"the headers did not arrive within {limit}"))
        else:
            self._progress.await_nothing()
            self._socket.close()
