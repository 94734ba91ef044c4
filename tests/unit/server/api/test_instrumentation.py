import asyncio
import json
import logging
from collections.abc import Mapping

import pytest
from starlette.types import Message, Receive, Scope, Send

from server.api.instrumentation import Instrumentation, choose_request_id, read_headers, trace_of
from server.errors import InferenceError, InvalidError, OverloadedError, ServiceError
from server.telemetry import logs
from server.telemetry.metrics import Metrics
from server.telemetry.request_context import CURRENT, Answer, RequestContext
from server.telemetry.traces import Tracer
from tests.unit.server.telemetry.test_logs import said

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{PARENT}-01"
Headers = list[tuple[bytes, bytes]]


class App:
    """Answers 200, or with `error` as the guard does, or truncates the response."""

    def __init__(self, error: ServiceError | None = None, *, cut: bool = False) -> None:
        self.error = error
        self.cut = cut
        self.trail: RequestContext | None = None

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        self.trail = CURRENT.get()
        logging.getLogger("server").warning("inside")
        scope["state"]["error"] = self.error
        await send({"type": "http.response.start", "status": self.error.status if self.error else 200})
        if self.cut:
            raise ServiceError("cut")
        await send({"type": "http.response.body", "body": b"done"})


def call(
    app: App, path: str = "/embed", headers: Headers | None = None, observe: Instrumentation | None = None
) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": path, "headers": headers or []}
    asyncio.run((observe or Instrumentation(app, ["/embed"], Metrics()))(scope, receive, send))
    return sent


def request_id(sent: list[Message]) -> str:
    return str(dict(sent[0]["headers"])[b"x-request-id"].decode())


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1/2", True), ("x" * 129, False), ("two words", False), ("", False), ("a\nb", False)]
)
def test_a_request_id_is_kept_if_it_is_short_and_printable(given: str, kept: bool) -> None:
    ids = [choose_request_id({"x-request-id": given}) for _ in range(2)]
    assert (ids[0] == given) is kept
    assert (ids[0] == ids[1]) is kept


def test_the_answer_carries_the_request_s_id() -> None:
    assert request_id(call(App(), headers=[(b"x-request-id", b"mine")])) == "mine"
    assert len(request_id(call(App(), headers=[(b"x-request-id", b"\xff")]))) == 32


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (VALID, TRACE),
        (f"00-{TRACE}-{PARENT}-00", TRACE),
        (f"cc-{TRACE}-{PARENT}-01", TRACE),
        (f"cc-{TRACE}-{PARENT}-01-what-will-come", TRACE),
        (f"cc-{TRACE}-{PARENT}-01.what", ""),
        (f"ff-{TRACE}-{PARENT}-01", ""),
        (f"00-{TRACE}-{PARENT}-01-more", ""),
        (f"00-{TRACE}-{PARENT}", ""),
        (f"00-{TRACE.upper()}-{PARENT}-01", ""),
        (f"00-{'0' * 32}-{PARENT}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE[:-1]}-{PARENT}-01", ""),
        ("", ""),
    ],
)
def test_a_traceparent_is_read_as_the_specification_says_and_ignored_otherwise(header: str, trace: str) -> None:
    assert trace_of({"traceparent": header}) == trace


def test_two_traceparents_are_none() -> None:
    assert trace_of(read_headers([(b"traceparent", VALID.encode())] * 2)) == ""


def test_lines_written_while_a_request_is_served_name_it_and_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "debug")
    call(App(), headers=[(b"x-request-id", b"me"), (b"traceparent", VALID.encode())])
    events = [json.loads(line) for line in said(capsys).splitlines()]
    lines = [event for event in events if event["logger"].startswith("server")]
    assert [(event["request_id"], event["trace_id"]) for event in lines] == [("me", TRACE)] * 2
    assert {"method": "POST", "route": "/embed", "code": 200}.items() <= lines[1].items()


@pytest.mark.parametrize(
    ("app", "path", "series"),
    [
        (App(), "/embed", '{code="200",route="/embed"}'),
        (App(), "/embed/secret", '{code="200",route="other"}'),
        (App(InvalidError("x")), "/embed", '{code="422",route="/embed"}'),
    ],
)
def test_every_answer_is_counted_under_its_route_or_other(app: App, path: str, series: str) -> None:
    metrics = Metrics()
    call(app, path, observe=Instrumentation(app, ["/embed"], metrics))
    shown = metrics.render().decode()
    assert f"embedding_requests_total{series} 1.0" in shown
    assert ('embedding_refused_total{reason="validation"} 1.0' in shown) is (app.error is not None)
    assert "secret" not in shown


def test_an_answer_that_is_cut_off_is_a_failure_of_ours() -> None:
    app, metrics = App(cut=True), Metrics()
    with pytest.raises(ServiceError, match="cut"):
        call(app, observe=Instrumentation(app, ["/embed"], metrics))
    assert 'embedding_requests_total{code="500",route="/embed"} 1.0' in metrics.render().decode()


def levels(caplog: pytest.LogCaptureFixture, app: App, times: int = 1) -> list[str]:
    """Return the levels of the log lines of `times` requests."""
    observe = Instrumentation(app, ["/embed"], Metrics())
    with caplog.at_level(logging.DEBUG):
        for _ in range(times):
            call(app, observe=observe)
    return [record.levelname for record in caplog.records if record.name == "server.api.instrumentation"]


@pytest.mark.parametrize(
    ("error", "level"), [(None, "DEBUG"), (InvalidError("x"), "DEBUG"), (InferenceError("x"), "WARNING")]
)
def test_a_defect_is_a_warning_and_a_callers_mistake_is_not(
    caplog: pytest.LogCaptureFixture, error: ServiceError | None, level: str
) -> None:
    assert levels(caplog, App(error)) == [level]


def test_refusals_are_shown_now_and_then_with_their_reason(caplog: pytest.LogCaptureFixture) -> None:
    assert levels(caplog, App(OverloadedError("the queue is full", 1)), 3) == ["INFO", "DEBUG", "DEBUG"]
    assert "POST /embed 429 overloaded in" in caplog.text


def test_no_line_holds_a_path_as_sent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        call(App(), "/my/secret")
    assert "POST other 200" in caplog.text
    assert "secret" not in caplog.text


class FakeTracer(Tracer):
    """Records its calls."""

    trace_id = "ef" * 16

    def __init__(self) -> None:
        self.parents: list[Mapping[str, str]] = []
        self.ended: list[tuple[Answer, RequestContext]] = []

    def begin(self, headers: Mapping[str, str]) -> "FakeTracer":  # type: ignore[override]
        self.parents.append(headers)
        return self

    def end(self, answer: Answer, trail: RequestContext) -> None:
        self.ended.append((answer, trail))


def test_a_tracer_is_told_of_valid_parents_only_and_names_the_trace() -> None:
    app, tracer = App(), FakeTracer()
    observe = Instrumentation(app, ["/embed"], Metrics(), tracer)
    call(app, headers=[(b"traceparent", VALID.encode()), (b"tracestate", b"a=1"), (b"cookie", b"no")], observe=observe)
    call(app, headers=[(b"traceparent", b"junk"), (b"tracestate", b"a=1")], observe=observe)
    assert tracer.parents == [{"traceparent": VALID, "tracestate": "a=1"}, {}]
    assert app.trail
    assert app.trail.trace_id == FakeTracer.trace_id
    assert [answer.code for answer, _ in tracer.ended] == [200, 200]
