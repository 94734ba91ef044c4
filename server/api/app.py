"""The routes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from server import errors
from server.api import docs_page, openapi
from server.api.dialects import embed as wire_embed
from server.api.dialects import openai, similarity, tokens
from server.api.guard import REQUEST_TIMEOUT, Guard
from server.api.instrumentation import REQUEST_ID, Instrumentation
from server.errors import ClientGoneError, SlowRequestError
from server.service.embed_request import Asker, EmbedRequest
from server.service.service import Result, Service
from server.system import process
from server.system.suspension import receiving
from server.telemetry import metrics

JSON = "application/json"
T = TypeVar("T")


class Asked(Protocol):
    """A parsed request of any dialect."""

    @property
    def question(self) -> EmbedRequest:
        """What to embed."""


AskedT = TypeVar("AskedT", bound=Asked)


def create_app(service: Service) -> Starlette:
    """Build the ASGI application around a warm service; it closes the service when it shuts down."""
    routes = [
        Route("/embed", embed, methods=["POST"]),
        Route("/", embed, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{model:path}", model),
        Route("/similarity", compare, methods=["POST"]),
        Route("/tokenize", tokenize, methods=["POST"]),
        Route("/info", info),
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", show_metrics),
        Route("/openapi.json", show_document),
        Route("/docs", show_docs),
    ]
    app = Starlette(
        routes=routes,
        middleware=_middleware(service, routes),
        exception_handlers={HTTPException: _raise_ours},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    document = openapi.document(service.loaded)
    app.state.document = orjson.dumps(document)
    app.state.docs = docs_page.render(document)
    app.state.model = openai.describe_model(
        service.loaded.artifact.manifest, int(service.loaded.artifact.model_path.stat().st_mtime)
    )
    return app


async def embed(request: Request) -> Response:
    """POST /embed: text in, vectors out."""
    asked, result = await _embed(request, wire_embed.parse)
    return _answer(request, result, partial(wire_embed.render, asked, result.vectors))


async def embeddings(request: Request) -> Response:
    """POST /v1/embeddings: the same in OpenAI's dialect."""
    asked, result = await _embed(request, openai.parse)
    return _answer(request, result, partial(openai.render, asked, result.vectors, result.tokens))


async def models(request: Request) -> Response:
    """GET /v1/models: the model that is served, in OpenAI's dialect."""
    return Response(orjson.dumps(openai.list_models(request.app.state.model)), media_type=JSON)


async def model(request: Request) -> Response:
    """GET /v1/models/{model}: the same by the model's name or id."""
    service: Service = request.app.state.service
    service.asker.check_model(request.path_params["model"])
    return Response(orjson.dumps(request.app.state.model), media_type=JSON)


async def compare(request: Request) -> Response:
    """POST /similarity: cosines of one sentence with others."""
    _, result = await _embed(request, similarity.parse)
    return _answer(request, result, partial(similarity.render, result.vectors))


async def tokenize(request: Request) -> Response:
    """POST /tokenize: texts in, the model's tokens out."""
    service: Service = request.app.state.service
    asked = tokens.parse(await _read_body(request, service), service.asker)
    state = request.state
    work = service.tokenize(asked.texts, asked.special, state.deadline, tokens.render, state.claim)
    return Response(await _while_connected(request, work), media_type=JSON)


async def info(request: Request) -> Response:
    """GET /info: the model, the machine and the limits."""
    service: Service = request.app.state.service
    return Response(orjson.dumps(service.info()), media_type=JSON)


async def health(request: Request) -> Response:
    """GET /health: the process is alive and inference does not hang."""
    service: Service = request.app.state.service
    service.check_alive()
    return Response(orjson.dumps({"status": "alive"}), media_type=JSON)


async def ready(request: Request) -> Response:
    """GET /ready: requests can be answered now."""
    service: Service = request.app.state.service
    await service.check_ready()
    return Response(orjson.dumps({"status": "ready"}), media_type=JSON)


async def show_metrics(request: Request) -> Response:
    """GET /metrics: counters for Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


async def show_document(request: Request) -> Response:
    """GET /openapi.json: every route, for programs."""
    return Response(request.app.state.document, media_type=JSON)


async def show_docs(request: Request) -> Response:
    """GET /docs: every route, for people."""
    headers = {"Content-Security-Policy": docs_page.POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(request.app.state.docs, headers=headers, media_type="text/html")


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    service: Service = app.state.service
    watching = asyncio.create_task(service.stops.watch())
    yield
    ended = await service.close()
    watching.cancel()
    if service.loaded.tracer:
        await asyncio.to_thread(service.loaded.tracer.close)
    if not ended:
        process.die("a batch hangs")


def _middleware(service: Service, routes: list[Route]) -> list[Middleware]:
    settings, tracer = service.settings, service.loaded.tracer
    paths = [route.path for route in routes]
    observe = Middleware(Instrumentation, routes=paths, metrics=service.metrics, tracer=tracer)
    guard = Middleware(Guard, settings=settings, check_room=service.check_room, memory=service.memory)
    if not settings.cors_allow_origin:
        return [observe, guard]
    # Outside the guard: a browser's preflight carries no key, and refusals must be readable by the page.
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_allow_origin,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", REQUEST_ID, REQUEST_TIMEOUT, "traceparent", "tracestate"],
        expose_headers=["*"],
    )
    return [observe, cors, guard]


def _answer(request: Request, result: Result, render: Callable[[], bytes]) -> Response:
    """An answer with vectors, and what its headers tell of the work behind it; times in whole milliseconds."""
    service: Service = request.app.state.service
    with service.metrics.serialize_seconds.time():
        body = render()
    seconds = {
        "x-total-time": time.monotonic() - request.state.started,
        "x-tokenization-time": result.tokenization_s,
        "x-queue-time": result.queue_s,
        "x-inference-time": result.inference_s,
    }
    work = {
        "x-compute-tokens": str(result.tokens),
        "x-compute-characters": str(result.characters),
        "x-truncated-inputs": str(result.truncated),
    }
    times = {name: str(round(1000 * value)) for name, value in seconds.items()}
    return Response(body, headers=work | times, media_type=JSON)


async def _embed(request: Request, parse: Callable[[bytes, Asker], AskedT]) -> tuple[AskedT, Result]:
    service: Service = request.app.state.service
    asked = parse(await _read_body(request, service), service.asker)
    state = request.state
    state.claim.hold(service.size_of(asked.question.inputs))
    work = service.embed(asked.question, state.deadline, state.since, state.claim)
    with _learning(service, state.since):
        return asked, await _while_connected(request, work)


@contextmanager
def _learning(service: Service, since: float | None) -> Iterator[None]:
    """Learn from a request that came at `since` how long callers wait who do not say so."""
    left = False
    try:
        yield
    except ClientGoneError:
        left = True
        raise
    finally:
        if since is not None:
            service.note_patience(since, left=left)


async def _read_body(request: Request, service: Service) -> bytes:
    timeout_s = service.settings.receive_timeout_s
    try:
        async with receiving(timeout_s):
            # Not `request.body()`, which would keep it for as long as the request.
            return b"".join([chunk async for chunk in request.stream()])
    except TimeoutError:
        raise SlowRequestError(f"the body did not arrive within {timeout_s:g} s (RECEIVE_TIMEOUT_S)") from None
    except ClientDisconnect:
        raise ClientGoneError("the caller hung up while sending") from None


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, and give it up when the caller hangs up: nobody would read what it computes."""
    working = asyncio.ensure_future(work)
    hanging_up = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError("the caller hung up before the answer")
        return working.result()
    finally:
        working.cancel()
        hanging_up.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _raise_ours(request: Request, error: Exception) -> NoReturn:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    raise errors.from_http(error, request.method, request.url.path)
