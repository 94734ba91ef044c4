"""Traces of a real server, as received by an OTLP collector."""

import gzip
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.serving import Served, serve

PYTHON = Path(sys.executable)
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "my private sentence"
PASSWORD = "correct-horse"


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP collector that stores what it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Export)
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()
        self.authorized: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        resources = [resource for request in requests for resource in request.resource_spans]
        return [span for resource in resources for scope in resource.scope_spans for span in scope.spans]

    def of_trace(self, trace_id: str) -> dict[str, Span]:
        """Return the spans of a trace by name."""
        return {span.name: span for span in self.spans() if span.trace_id.hex() == trace_id}


class Export(BaseHTTPRequestHandler):
    """Handles an export request."""

    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        zipped = self.headers.get("content-encoding") == "gzip"
        self.server.bodies.append(gzip.decompress(body) if zipped else body)
        self.server.paths.add(self.path)
        self.server.authorized.add(self.headers["authorization"])
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Iterator[Served]:
    settings = {"otel_exporter_otlp_endpoint": collector.url, "otel_bsp_schedule_delay": 100, "log_format": "json"}
    with serve(python=PYTHON, quantization="int8", log_level="debug", api_key="hunter2", **settings) as served:
        served.client.headers["authorization"] = "Bearer hunter2"
        yield served


def until(ready: Callable[[], object]) -> None:
    """Poll until `ready` or a timeout; the assertion that follows reports the failure."""
    deadline = time.monotonic() + 20
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.05)


def attributes(span: Span) -> dict[str, object]:
    pairs = {pair.key: pair.value for pair in span.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in pairs.items()}


def ask(served: Served, body: object, trace: str = TRACE, flags: str = "01") -> httpx.Response:
    headers = {"traceparent": f"00-{trace}-{PARENT}-{flags}", "x-request-id": "req-1"}
    return served.client.post("/embed", json=body, headers=headers)


def test_a_request_is_a_span_under_its_caller_s_with_its_stages_below(collector: Collector, traced: Served) -> None:
    assert ask(traced, {"text": SECRET}).status_code == 200
    until(lambda: len(collector.of_trace(TRACE)) == 5)
    spans = collector.of_trace(TRACE)
    assert spans.keys() == {"POST /embed", "tokenize", "queue", "inference", "serialize"}
    root = spans.pop("POST /embed")
    assert (root.parent_span_id.hex(), root.kind) == (PARENT, 2)
    fields = attributes(root)
    assert (fields["http.request.method"], fields["http.route"]) == ("POST", "/embed")
    assert fields["http.response.status_code"] == 200
    assert "req-1" in str(fields["http.response.header.x-request-id"])
    for stage in spans.values():
        assert stage.parent_span_id == root.span_id
        assert root.start_time_unix_nano <= stage.start_time_unix_nano
        assert stage.end_time_unix_nano <= root.end_time_unix_nano
    until(lambda: any(TRACE in line for line in traced.lines))
    assert any(TRACE in line and "req-1" in line for line in traced.lines)


def test_an_error_is_told_of_by_code_and_a_defect_of_ours_by_status(collector: Collector, traced: Served) -> None:
    trace = "a" * 32
    assert ask(traced, {"text": 7}, trace).status_code == 422
    until(lambda: collector.of_trace(trace))
    span = collector.of_trace(trace)["POST /embed"]
    assert attributes(span)["http.response.status_code"] == 422
    assert span.status.code == 0


def test_a_refused_key_is_traced_and_a_path_as_sent_is_not(collector: Collector, traced: Served) -> None:
    trace = "b" * 32
    headers = {"traceparent": f"00-{trace}-{PARENT}-01", "authorization": "Bearer wrongkey"}
    assert traced.client.get("/private-path?q=private", headers=headers).status_code == 401
    until(lambda: collector.of_trace(trace))
    assert attributes(collector.of_trace(trace)["GET other"])["http.response.status_code"] == 401


def test_a_caller_that_does_not_sample_is_not_traced(collector: Collector, traced: Served) -> None:
    asked, marker = "c" * 32, "d" * 32
    assert ask(traced, {"text": "a"}, asked, "00").status_code == 200
    assert ask(traced, {"text": "a"}, marker).status_code == 200
    until(lambda: collector.of_trace(marker))
    assert collector.of_trace(marker)
    assert not collector.of_trace(asked)


def test_without_a_parent_a_trace_begins_here(collector: Collector, traced: Served) -> None:
    assert traced.client.get("/info", headers={"traceparent": f"00-{'0' * 32}-{PARENT}-01"}).status_code == 200
    until(lambda: any(span.name == "GET /info" for span in collector.spans()))
    assert [span.parent_span_id for span in collector.spans() if span.name == "GET /info"] == [b""]


def test_what_is_exported_names_the_service_and_no_text_key_or_path(collector: Collector, traced: Served) -> None:
    everything = b"".join(collector.bodies)
    assert b"embedding-service" in everything
    for private in (SECRET, "private", "hunter2", "wrongkey", "127.0.0.1"):
        assert private.encode() not in everything
        assert not [
            line for line in traced.lines if private in line and "settings:" not in line and "ready" not in line
        ]
    assert collector.paths == {"/v1/traces"}


def test_the_last_spans_are_exported_before_the_server_ends(collector: Collector) -> None:
    trace = "e" * 32
    endpoint = collector.url.replace("://", f"://user:{PASSWORD}@") + "/"
    with serve(python=PYTHON, quantization="int8", otel_exporter_otlp_endpoint=endpoint) as served:
        assert ask(served, {"text": "a"}, trace).status_code == 200
    assert "POST /embed" in collector.of_trace(trace)
    assert "Basic " + b64encode(f"user:{PASSWORD}".encode()).decode() in collector.authorized
    assert not [line for line in served.lines if PASSWORD in line]


def test_a_collector_that_is_down_costs_one_line_and_no_answer() -> None:
    endpoint = f"http://user:{PASSWORD}@127.0.0.1:9/?api_key={PASSWORD}"
    settings = {"otel_exporter_otlp_endpoint": endpoint, "otel_bsp_schedule_delay": 50}
    with serve(python=PYTHON, quantization="int8", **settings) as served:
        for _ in range(5):
            assert served.client.get("/info").status_code == 200
        assert PASSWORD not in "".join(served.client.get(path).text for path in ("/info", "/metrics", "/openapi.json"))
        until(lambda: any("traces do not reach" in line for line in served.lines))
    assert len([line for line in served.lines if "traces do not reach http://***@127.0.0.1:9" in line]) == 1
    assert not [line for line in served.lines if "opentelemetry" in line or "Traceback" in line or PASSWORD in line]
    assert served.process.returncode == 0
