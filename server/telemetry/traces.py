"""Exports traces of requests to an OpenTelemetry collector; OpenTelemetry is imported only if one is configured.

Names follow https://opentelemetry.io/docs/specs/semconv/http/http-spans/. A span contains no text, no header from the
caller except the request id, and no path other than a route's.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from server import __version__
from server.errors import ServiceError, StartError
from server.secret import Location, scrub
from server.telemetry.logs import RateLimit
from server.telemetry.request_context import Answer, RequestContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace import Span as OtelSpan
    from opentelemetry.sdk.trace import Tracer as OtelTracer
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

SERVICE = "embedding-service"
PATH = "/v1/traces"
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/: any other method is "_OTHER".
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
EXPORT_TIMEOUT_S = 5.0
FLUSH_TIMEOUT_S = 3.0
FAILURES_LOGGED_EVERY_S = 60.0


def connect(endpoint: Location) -> "Tracer | None":
    """Start exporting to the collector with the base URL `endpoint`; return None if it is empty.

    OpenTelemetry's own variables apply too: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_BSP_MAX_QUEUE_SIZE and more.

    Raises:
        StartError: OpenTelemetry is not installed, or one of its variables cannot be used.
    """
    if not endpoint:
        return None
    try:
        return Tracer(_provider(endpoint))
    except ImportError:
        raise StartError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}: OpenTelemetry is not installed here. "
            "Install it (pip install -r requirements/otel.txt) or unset the setting"
        ) from None
    except ValueError as error:
        raise StartError(
            f"OpenTelemetry cannot be set up: {scrub(str(error))}. Correct the variable OTEL_... it speaks of"
        ) from None


class Tracer:
    """Creates a span for each request and queues it for an export thread; a full queue drops the oldest spans."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace  # noqa: PLC0415 - only where traces are asked for
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE, __version__)
        self._api = trace
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Mapping[str, str]) -> "TraceSpan":
        """Start a request's span, as a child of the span in the header `traceparent`, if any."""
        parent = self._propagator.extract(headers)
        return TraceSpan(self._api, self._tracer, self._tracer.start_span(SERVICE, parent, self._api.SpanKind.SERVER))

    def close(self) -> None:
        """Export the queued spans, for at most FLUSH_TIMEOUT_S."""
        flush = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        flush.start()
        flush.join(FLUSH_TIMEOUT_S)
        if flush.is_alive():
            logger.warning("the last traces did not reach the collector within %g s", FLUSH_TIMEOUT_S)


class TraceSpan:
    """The open span of one request."""

    def __init__(self, api: ModuleType, tracer: "OtelTracer", span: "OtelSpan") -> None:
        self._api = api
        self._tracer = tracer
        self._span = span
        self.trace_id: str = api.format_trace_id(span.get_span_context().trace_id)

    def end(self, answer: Answer, trail: RequestContext) -> None:
        """End the span with the request's outcome, and add a child span for each stage."""
        span = self._span
        if span.is_recording():
            known = answer.method in METHODS
            span.update_name(f"{answer.method if known else 'HTTP'} {answer.route}")
            span.set_attributes(_attributes(answer, trail))
            if answer.code >= ServiceError.status:
                span.set_status(self._api.StatusCode.ERROR)
            self._add_steps(trail)
        span.end()

    def _add_steps(self, trail: RequestContext) -> None:
        # A request's texts may run in several batches: each stage gets one span, placed after the previous one.
        context = self._api.set_span_in_context(self._span)
        at = 0.0
        for step in trail.steps:
            at = at or step.ended - step.seconds - trail.started
            child = self._tracer.start_span(step.name, context, start_time=self._time(at))
            at += step.seconds
            child.end(self._time(at))

    def _time(self, seconds: float) -> int:
        began: int = self._span.start_time
        return began + round(seconds * 1e9)


class Exporter:
    """Exports spans through `exporter`, and logs failures at most once a minute."""

    def __init__(self, exporter: "SpanExporter", endpoint: Location) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._failures = RateLimit(FAILURES_LOGGED_EVERY_S)
        self._lost = 0

    def export(self, spans: Sequence["ReadableSpan"]) -> "SpanExportResult":
        """Send `spans`; on failure they are dropped."""
        result = self._exporter.export(spans)
        if result.name != "SUCCESS":
            self._lost += len(spans)
            if self._failures.admit("export", time.monotonic()) is not None:
                logger.warning("traces do not reach %s: %d spans were lost", self._endpoint, self._lost)
                self._lost = 0
        return result

    def shutdown(self) -> None:
        """Shut down the underlying exporter."""
        self._exporter.shutdown()


def _provider(endpoint: Location) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource({"service.name": SERVICE, "service.version": __version__})
    provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    base = urlsplit(endpoint.reveal())
    otlp = OTLPSpanExporter(base._replace(path=base.path.rstrip("/") + PATH).geturl(), timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(Exporter(otlp, endpoint)))
    # OpenTelemetry logs every failure and every lost span; `Exporter` logs once a minute instead.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return provider


def _attributes(answer: Answer, trail: RequestContext) -> dict[str, str | int | list[str]]:
    attributes: dict[str, str | int | list[str]] = {
        "http.request.method": answer.method if answer.method in METHODS else "_OTHER",
        "http.route": answer.route,
        "http.response.status_code": answer.code,
        "http.response.header.x-request-id": [trail.request_id],
    }
    if answer.code >= ServiceError.status:
        attributes["error.type"] = answer.reason or str(answer.code)
    return attributes
