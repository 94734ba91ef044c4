"""Fault injection over HTTP: a proxy in front of a store that drops responses or refuses requests."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Handler(BaseHTTPRequestHandler):
    """Handles requests of any method."""

    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def reply(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {"content-type": "application/json"}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self) -> None:
        raise NotImplementedError

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = lambda self: self.handle_any()  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def listening(handler: type[Handler]) -> Iterator[ThreadingHTTPServer]:
    """Serve during the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Proxy:
    """Forwards requests. Drops the responses to the next `lose` writes after the store has applied them; answers the
    next `refuse` writes with `status` without forwarding them."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.writes = ("/upsert", "/points?")
        self.lose = self.refuse = self.lost = self.refused = 0
        self.status = 503
        self.url = ""
        self.seen: list[tuple[str, int]] = []

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Serve during the block."""
        proxy = self

        class Passing(Handler):
            def handle_any(self) -> None:
                proxy.pass_on(self)

        with listening(Passing) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            yield self

    def pass_on(self, request: Handler) -> None:
        """Forward a request, or inject a fault."""
        body = request.body()
        write = request.command in ("POST", "PUT") and any(part in request.path for part in self.writes)
        self.seen.append((f"{request.command} {request.path}", len(body)))
        if write and self.refused < self.refuse:
            self.refused += 1
            request.reply(self.status, b'{"error": "Overloaded", "message": "try again"}')
            return
        status, data, headers = self._ask(request, body)
        if write and self.lost < self.lose:
            self.lost += 1
            request.close_connection = True
            return
        request.reply(status, data, headers)

    def _ask(self, request: Handler, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=60)
        kept = {name: value for name, value in request.headers.items() if name.lower() not in HOP | {"host"}}
        try:
            connection.request(request.command, request.path, body, kept)
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
            return answer.status, answer.read(), headers
        finally:
            connection.close()
