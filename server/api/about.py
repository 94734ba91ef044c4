"""Handlers for `/info`, probes, metrics and the API documentation."""

from collections.abc import Iterable
from typing import Annotated, TypedDict

import orjson
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from server import errors
from server.api import docs_page, playground
from server.api.operation import JSON, Operation, ref
from server.errors import ServiceError
from server.service.info import Info, Status
from server.service.service import Service
from server.telemetry import metrics


class Index(TypedDict):
    """The routes of this server."""

    service: str
    routes: Annotated[list[str], Meta(description="Method and path of each route.")]
    docs: Annotated[str, Meta(description="The route that describes them.")]


TEXT = {"type": "string"}
STATUS = {"Status": Status}
BROKEN = (ServiceError, errors.UnavailableError)

INFO = Operation("/info", "info", "Model, machine and limits", ref("Info"), {"Info": Info})
HEALTH = Operation("/health", "health", "Alive, or to be restarted", ref("Status"), STATUS, failures=BROKEN, open=True)
READY = Operation(
    "/ready", "ready", "Whether requests can be answered", ref("Status"), STATUS, failures=BROKEN, open=True
)
METRICS = Operation(
    "/metrics", "metrics", "Counters for Prometheus", TEXT, media=metrics.CONTENT_TYPE.partition(";")[0]
)
DOCUMENT = Operation("/openapi.json", "openapi", "This document", {"type": "object"})
DOCS = Operation("/docs", "docs", "This document to read", TEXT, media="text/html")

INDEX = Operation(
    "/",
    "index",
    "A page to try the model on",
    ref("Index"),
    {"Index": Index},
    text="For browsers and load balancers; needs no key. With PLAYGROUND=false, the list of routes instead.",
    failures=(ServiceError,),
    also={"text/html": TEXT},
    open=True,
)


async def info(request: Request) -> Response:
    """GET /info: the model, the machine and the limits."""
    service: Service = request.app.state.service
    return Response(orjson.dumps(service.info()), media_type=JSON)


async def health(request: Request) -> Response:
    """GET /health: liveness; fails if inference hangs."""
    service: Service = request.app.state.service
    service.check_alive()
    return Response(orjson.dumps({"status": "alive"}), media_type=JSON)


async def ready(request: Request) -> Response:
    """GET /ready: readiness to answer requests."""
    service: Service = request.app.state.service
    await service.check_ready()
    return Response(orjson.dumps({"status": "ready"}), media_type=JSON)


async def show_metrics(request: Request) -> Response:
    """GET /metrics: metrics for Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


async def show_document(request: Request) -> Response:
    """GET /openapi.json: the OpenAPI document."""
    return Response(request.app.state.document, media_type=JSON)


async def show_docs(request: Request) -> Response:
    """GET /docs: the OpenAPI document as HTML."""
    return _page(request.app.state.docs, docs_page.POLICY)


async def show_index(request: Request) -> Response:
    """GET /: the page, or the names of the routes."""
    service: Service = request.app.state.service
    if service.settings.playground:
        return _page(playground.PAGE, playground.POLICY)
    return Response(request.app.state.index, media_type=JSON)


def index(operations: Iterable[Operation]) -> Index:
    """Return the body of `GET /`."""
    listed = [f"{operation.method} {operation.template}" for operation in operations]
    return {"service": "embedding service", "routes": listed, "docs": DOCS.path}


def _page(html: str | bytes, policy: str) -> Response:
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return Response(html, headers=headers, media_type="text/html")
