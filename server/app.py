"""The routes."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from server import errors
from server.errors import ClientGoneError, SlowRequestError
from server.guard import REQUEST_ID, REQUEST_TIMEOUT, Guard
from server.service import Result, Service
from server.settings import Settings
from server.wire import embed as wire_embed

JSON = "application/json"
T = TypeVar("T")


def create_app(service: Service) -> Starlette:
    """Build the ASGI application around a warm service; it closes the service when it shuts down."""
    app = Starlette(
        routes=[
            Route("/embed", embed, methods=["POST"]),
            Route("/info", info),
            Route("/health", health),
            Route("/ready", ready),
        ],
        middleware=_middleware(service.settings),
        exception_handlers={HTTPException: _raise_ours},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def embed(request: Request) -> Response:
    """POST /embed: text in, vectors out."""
    service: Service = request.app.state.service
    service.check_room()
    asked = wire_embed.parse(await _read_body(request, service.settings.receive_timeout_s), service.asker)
    result = await _while_connected(request, service.embed(asked.question, request.state.deadline))
    return _answer(request, result, wire_embed.render(asked, result.vectors))


async def info(request: Request) -> Response:
    """GET /info: the model, the machine and the limits."""
    service: Service = request.app.state.service
    return Response(orjson.dumps(service.info()), media_type=JSON)


async def health(_: Request) -> Response:
    """GET /health: the process is alive."""
    return Response(orjson.dumps({"status": "alive"}), media_type=JSON)


async def ready(request: Request) -> Response:
    """GET /ready: requests can be answered now."""
    service: Service = request.app.state.service
    await service.check_ready()
    return Response(orjson.dumps({"status": "ready"}), media_type=JSON)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    service: Service = app.state.service
    await service.close()


def _middleware(settings: Settings) -> list[Middleware]:
    guard = Middleware(Guard, settings=settings)
    if not settings.cors_allow_origin:
        return [guard]
    # Outside the guard: a browser's preflight carries no key, and refusals must be readable by the page.
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_allow_origin,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", REQUEST_ID, REQUEST_TIMEOUT],
        expose_headers=["*"],
    )
    return [cors, guard]


def _answer(request: Request, result: Result, body: bytes) -> Response:
    """An answer with vectors, and what its headers tell of the work behind it; times in whole milliseconds."""
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


async def _read_body(request: Request, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            return await request.body()
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
