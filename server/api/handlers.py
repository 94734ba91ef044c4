"""Handlers that read and parse a body, compute until done or the caller disconnects, and render the answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from server.api.dialects import openai, tokens, wire
from server.api.operation import EMBEDDING_SPACE, JSON
from server.errors import ClientGoneError, SlowRequestError
from server.service.embed_request import Asker, EmbedRequest
from server.service.result import Result
from server.service.service import Service
from server.system.suspension import receiving

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
IGNORED_FIELDS = "x-ignored-fields"


class ParsedRequest(Protocol):
    """A parsed request of any dialect."""

    @property
    def question(self) -> EmbedRequest:
        """The request to the service."""


ParsedT = TypeVar("ParsedT", bound=ParsedRequest)


def vectors(parse: Callable[[bytes, Asker], ParsedT], render: Callable[[ParsedT, Result], bytes]) -> Handler:
    """Return a handler for a dialect whose answers are vectors or are computed from vectors."""

    async def answer(request: Request) -> Response:
        asked, media, result = await _embed(request, parse)
        service: Service = request.app.state.service
        question, headers = asked.question, _report(request, result)
        with service.metrics.serialize_seconds.time():
            body: bytes | memoryview
            if media == JSON:
                body = render(asked, result)
            else:
                body, described = wire.raw(question, result.vectors, media)
                headers |= described
        response = Response(body, headers=headers | wire.scale_header(question.outputs), media_type=media)
        _report_ignored(request, response, question.ignored)
        return response

    return answer


async def models(request: Request) -> Response:
    """GET /v1/models: the model, in OpenAI's format."""
    return Response(orjson.dumps(openai.list_models(request.app.state.model)), media_type=JSON)


async def model(request: Request) -> Response:
    """GET /v1/models/{model}: the model, by its name or id."""
    service: Service = request.app.state.service
    service.asker.check_model(request.path_params["model"])
    return Response(orjson.dumps(request.app.state.model), media_type=JSON)


async def tokenize(request: Request) -> Response:
    """POST /tokenize: texts in, the model's tokens out."""
    service: Service = request.app.state.service
    asked = tokens.parse(await _read_body(request, service), service.asker)
    state = request.state
    work = service.tokenize(asked.texts, asked.special, state.deadline, tokens.render, state.claim)
    return Response(await _while_connected(request, work), media_type=JSON)


def _report(request: Request, result: Result) -> dict[str, str]:
    """Return the headers that report space, tokens, characters and times in ms."""
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
        EMBEDDING_SPACE: result.space,
    }
    return work | {name: str(round(1000 * value)) for name, value in seconds.items()}


def _report_ignored(request: Request, response: Response, fields: Sequence[str]) -> None:
    """Name the fields of the body that were ignored in a header, and count them."""
    service: Service = request.app.state.service
    for name in fields:
        service.metrics.ignored_fields.labels(name).inc()
    if fields:
        response.headers[IGNORED_FIELDS] = ", ".join(fields)


async def _embed(request: Request, parse: Callable[[bytes, Asker], ParsedT]) -> tuple[ParsedT, str, Result]:
    """Return the parsed request, the media type of its answer, and its vectors."""
    service: Service = request.app.state.service
    asked = parse(await _read_body(request, service), service.asker)
    media = wire.choose_media(request.headers.getlist("accept"), asked.question.outputs)
    state = request.state
    state.claim.hold(service.size_of(asked.question.inputs))
    work = service.embed(asked.question, state.deadline, state.since, state.claim)
    with _learning(service, state.since):
        return asked, media, await _while_connected(request, work)


@contextmanager
def _learning(service: Service, since: float | None) -> Iterator[None]:
    """Record how a request received at `since` ended, to estimate the patience of callers that state no timeout."""
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
            # Not `request.body()`, which caches the body for the lifetime of the request.
            return b"".join([chunk async for chunk in request.stream()])
    except TimeoutError:
        raise SlowRequestError(f"the body did not arrive within {timeout_s:g} s (RECEIVE_TIMEOUT_S)") from None
    except ClientDisconnect:
        raise ClientGoneError("the caller hung up while sending") from None


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; cancel it if the caller disconnects."""
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
