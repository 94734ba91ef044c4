"""The ASGI application: routes, middleware and lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.routing import Match, Route

from server.api import about, docs_page, openapi, routes
from server.api.dialects.extra_fields import IGNORED
from server.api.dialects.openai import describe_model
from server.api.error_answer import from_http
from server.api.guard import IF_SPACE, REQUEST_TIMEOUT, Guard
from server.api.instrumentation import REQUEST_ID, Instrumentation
from server.api.paths import Paths, describe_nearest
from server.service.service import Service
from server.system import process


def create_app(service: Service) -> Starlette:
    """Build the ASGI application for a warm service, which it closes on shutdown."""
    served = [Route(operation.path, handler, methods=[operation.method]) for operation, handler in routes.ROUTES]
    app = Starlette(
        routes=served,
        middleware=_middleware(service, [route.path for route in served]),
        exception_handlers={HTTPException: _raise_ours},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    for name in IGNORED:  # so that each series begins at 0
        service.metrics.ignored_fields.labels(name)
    document = openapi.document(service.loaded)
    app.state.document = orjson.dumps(document)
    app.state.docs = docs_page.render(document)
    app.state.index = orjson.dumps(about.index(operation for operation, _ in routes.ROUTES))
    app.state.model = describe_model(
        service.loaded.artifact.manifest,
        int(service.loaded.artifact.model_path.stat().st_mtime),
        str(service.space),
    )
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    service: Service = app.state.service
    watching = asyncio.create_task(service.stops.watch())
    service.state.begin()
    yield
    ended = await service.close()
    watching.cancel()
    if service.loaded.tracer:
        await asyncio.to_thread(service.loaded.tracer.close)
    if not ended:
        process.die("a batch hangs")


def _middleware(service: Service, paths: list[str]) -> list[Middleware]:
    settings, tracer = service.settings, service.loaded.tracer
    rewrite = Middleware(Paths, base_path=settings.base_path)
    observe = Middleware(Instrumentation, routes=paths, metrics=service.metrics, tracer=tracer)
    guard = Middleware(
        Guard, settings=settings, check_room=service.check_room, memory=service.memory, served=service.space
    )
    if not settings.cors_allow_origin:
        return [rewrite, observe, guard]
    # Outside the guard: a preflight request carries no key, and the page must be able to read refusals.
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_allow_origin,
        allow_methods=["GET", "POST"],
        allow_headers=[
            *("Authorization", "Content-Type", REQUEST_ID, REQUEST_TIMEOUT, IF_SPACE, "traceparent", "tracestate")
        ],
        expose_headers=["*"],
    )
    return [rewrite, observe, cors, guard]


async def _raise_ours(request: Request, error: Exception) -> NoReturn:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    path = request.scope["path"]
    raise from_http(error, request.method, path, _methods(request), describe_nearest(path))


def _methods(request: Request) -> set[str]:
    """Return the methods of all routes of the path; Starlette names those of the first only."""
    routes_of_path = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in routes_of_path for method in route.methods}
