import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import Message

from server.api.app import create_app
from server.model.artifact import Artifact
from server.service.embed_request import EmbedRequest
from server.service.service import Service
from tests.unit.server.fakes import FakeEngine
from tests.unit.server.service.test_service import load, serving, starting


@asynccontextmanager
async def serve(
    artifact: Artifact, engine: FakeEngine | None = None, **environ: str
) -> AsyncIterator[httpx.AsyncClient]:
    service = serving(load(artifact, **environ), engine)
    transport = httpx.ASGITransport(create_app(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    await service.close()


async def test_embed_answers_with_vectors_and_headers(artifact: Artifact) -> None:
    async with serve(artifact) as client:
        response = await client.post("/embed", json={"text": "a"}, headers={"x-request-id": "mine"})
        assert response.status_code == 200
        assert len(response.json()["embedding"]) == 8
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"] == "mine"
        assert response.headers["x-compute-tokens"] == "3"


@pytest.mark.parametrize("path", ["/", "/info", "/health", "/healthz", "/ready"])
async def test_what_can_be_got_can_be_asked_for_by_head(artifact: Artifact, path: str) -> None:
    async with serve(artifact) as client:
        assert (await client.get(path)).status_code == 200
        assert (await client.head(path)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/embed", 405, {"POST"}),
        ("DELETE", "/info", 405, {"GET", "HEAD"}),
        ("POST", "/embed/x", 404, None),
        ("DELETE", "/", 405, {"GET", "HEAD", "POST"}),
        ("GET", "/v1", 404, None),
    ],
)
async def test_wrong_routes_and_methods_have_the_error_shape(
    artifact: Artifact, method: str, path: str, status: int, allow: set[str] | None
) -> None:
    async with serve(artifact) as client:
        response = await client.request(method, path)
        assert response.status_code == status
        assert response.json().keys() == {"error", "error_type"}
        assert not allow or set(response.headers["allow"].split(", ")) == allow
        assert "message" in (await client.get("/v1/nothing")).json()["error"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 422),
        (b'{"text": ""}', 422),
        (b'{"text": "\\ud800"}', 422),
        (b"[" * 9999, 422),
    ],
)
async def test_bad_input_is_the_callers_fault(artifact: Artifact, body: bytes, status: int) -> None:
    async with serve(artifact) as client:
        assert (await client.post("/embed", content=body)).status_code == status


async def test_an_engine_that_fails_is_a_500_and_the_next_request_is_served(artifact: Artifact) -> None:
    engine = FakeEngine()

    async with serve(artifact, engine) as client:
        engine.error = RuntimeError("secret detail")
        response = await client.post("/embed", json={"text": "a"})
        assert response.status_code == 500
        assert "secret" not in response.text
        engine.error = None
        assert (await client.post("/embed", json={"text": "a"})).status_code == 200


async def test_a_deadline_is_a_504(artifact: Artifact) -> None:
    engine = FakeEngine()
    engine.gate.clear()

    async with serve(artifact, engine, REQUEST_TIMEOUT_S="0.05") as client:
        response = await client.post("/embed", json={"text": "a"})
        engine.gate.set()
        assert response.status_code == 504


async def test_a_body_that_does_not_arrive_is_a_408(artifact: Artifact) -> None:
    service = serving(load(artifact, RECEIVE_TIMEOUT_S="0.05"))
    sent = await post(service, never_ending)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    await service.close()


async def test_a_caller_that_hangs_up_while_queued_is_not_computed_for(artifact: Artifact) -> None:
    engine = FakeEngine()
    engine.gate.clear()
    asked: list[Message] = [{"type": "http.request", "body": b'{"text": "b"}'}, {"type": "http.disconnect"}]

    async def hang_up() -> Message:
        return asked.pop(0)

    service = serving(load(artifact), engine)
    running = asyncio.create_task(service.embed(EmbedRequest(["a"]), time.monotonic() + 10))
    await asyncio.to_thread(engine.entered.wait, 10)
    sent = await post(service, hang_up)
    assert sent[0]["status"] == 499
    engine.gate.set()
    await running
    await service.close()
    assert engine.batches == [[[1, 3, 2]]]


async def never_ending() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def post(service: Service, receive: Callable[[], Awaitable[Message]]) -> list[Message]:
    """Post to /embed over ASGI; return the messages sent."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(dict(message))

    scope = {"type": "http", "method": "POST", "path": "/embed", "headers": [], "query_string": b""}
    await create_app(service)(scope, receive, send)
    return sent


async def test_browsers_may_call_only_from_allowed_origins(artifact: Artifact) -> None:
    preflight = {"origin": "https://a.org", "access-control-request-method": "POST"}
    preflight |= {"access-control-request-headers": "authorization, content-type, if-embedding-space"}

    async with serve(artifact, CORS_ALLOW_ORIGIN="https://a.org", API_KEY="k") as client:
        response = await client.options("/embed", headers=preflight)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://a.org"
    async with serve(artifact) as client:
        response = await client.options("/embed", headers=preflight)
        assert "access-control-allow-origin" not in response.headers


async def test_the_server_is_ready_from_its_start_to_its_end(artifact: Artifact) -> None:
    app = create_app(starting(load(artifact)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/ready")).status_code == 503
        async with app.router.lifespan_context(app):
            assert (await client.get("/ready")).status_code == 200
        assert (await client.get("/ready")).status_code == 503
        assert (await client.post("/embed", json={"text": "a"})).json()["error"] == "the server is shutting down"
