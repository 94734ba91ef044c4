"""A real server logs every request under its id, and nothing of its contents."""

import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.serving import Served, serve

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
SECRETS = ("hunter2", "wrongkey", "confidential", "forged")
Event = dict[str, object]


@pytest.fixture(scope="module")
def logged() -> Iterator[Served]:
    with serve(quantization="int8", log_format="json", log_level="debug", api_key="hunter2") as served:
        served.client.headers["authorization"] = "Bearer hunter2"
        yield served


def event_of(served: Served, request_id: str) -> Event:
    """Wait for the log line of a request and return it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        events = [json.loads(line) for line in served.lines if request_id in line]
        for event in events:
            if event["logger"] == "server.api.instrumentation" and event["request_id"] == request_id:
                return dict(event)
        time.sleep(0.02)
    raise AssertionError(f"no line about {request_id}")


def wrong_key(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return client.get("/info", headers=headers | {"authorization": "Bearer wrongkey"})


def text(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return client.post("/embed", json={"text": "confidential"}, headers=headers)


def bad_text(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return client.post("/embed", json={"text": ["confidential", 7]}, headers=headers)


def unknown_path(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    return client.get("/confidential%0aforged%1b[31m?q=confidential", headers=headers)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (text, {"code": 200, "route": "/embed", "method": "POST"}),
        (bad_text, {"code": 422, "route": "/embed", "reason": "validation"}),
        (wrong_key, {"code": 401, "route": "/info", "reason": "unauthorized"}),
        (unknown_path, {"code": 404, "route": "other", "reason": "not_found"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_request_is_a_line_under_its_id_and_its_trace(
    logged: Served, ask: Callable[[httpx.Client, dict[str, str]], httpx.Response], expected: Event
) -> None:
    answer = ask(logged.client, TRACEPARENT)
    event = event_of(logged, answer.headers["x-request-id"])
    assert expected.items() <= event.items()
    assert event["trace_id"] == TRACE


def test_a_caller_that_hangs_up_is_a_line_with_499(logged: Served) -> None:
    body = json.dumps({"texts": ["confidential " * 300] * 200}).encode()
    head = "POST /embed HTTP/1.1\r\nhost: a\r\nauthorization: Bearer hunter2\r\nx-request-id: gone-1\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((logged.client.base_url.host, logged.client.base_url.port or 80)) as connection:
        connection.sendall(head.encode() + body)
    assert event_of(logged, "gone-1")["code"] == 499


def test_no_line_holds_what_a_caller_sent(logged: Served) -> None:
    for ask in (text, bad_text, wrong_key, unknown_path):
        event_of(logged, ask(logged.client, {}).headers["x-request-id"])
    assert all(line.isascii() for line in logged.lines)
    assert not [line for line in logged.lines for secret in SECRETS if secret in line]
