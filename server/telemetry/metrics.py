"""Prometheus metrics of the server. Labels never contain a caller's text, key or path as sent.

Names follow https://prometheus.io/docs/practices/naming/: base units, `_total` on counters.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from server.connection.connection_limit import GRACE_S, Use
from server.errors import Cause, OverloadedError, ServiceError
from server.system import machine
from server.system.memory import Kind, Memory
from server.telemetry import logs
from server.telemetry.request_context import CURRENT, FinishedStage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Buckets from a cached answer to REQUEST_TIMEOUT_S, each about twice the previous one.
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# Rate limit (token bucket): rendering takes about 1.5 ms on the event loop. Beyond it the last text is sent again.
RENDERS_PER_S = 10.0
RENDERS_AT_ONCE = 10.0

# Omit the `_created` series of counters and histograms, which Prometheus does not need.
disable_created_metrics()  # type: ignore[no-untyped-call]


class StageTimer:
    """Measures a stage of requests, in a histogram and in the context of the current request."""

    def __init__(self, name: str, seconds: Histogram) -> None:
        self._name = name
        self._seconds = seconds.labels(name)

    def observe(self, seconds: float) -> None:
        """Record that the current request has just finished this stage, which took `seconds`."""
        self._seconds.observe(seconds)
        if trail := CURRENT.get():
            trail.steps.append(FinishedStage(self._name, time.monotonic(), seconds))

    @contextmanager
    def time(self) -> Iterator[None]:
        """Observe the duration of the block."""
        begun = time.monotonic()
        yield
        self.observe(time.monotonic() - begun)


class _Total(Collector):
    """A counter whose value is kept elsewhere."""

    def __init__(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        self._name, self._help, self._read = name, help_text, read

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._help, value=self._read())


class Metrics:
    """One server's metrics, in their own registry."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # process_resident_memory_bytes, process_open_fds, ...
        seconds = partial(Histogram, buckets=SECONDS, registry=registry)
        count = partial(Counter, registry=registry)
        self.requests = count("embedding_requests", "Answers.", ["route", "code"])
        self.request_seconds = seconds("embedding_request_seconds", "From the headers to the answer.", ["route"])
        stage = seconds("embedding_stage_seconds", "Time of a request in each stage.", ["stage"])
        self.tokenize_seconds = StageTimer("tokenize", stage)
        self.queue_seconds = StageTimer("queue", stage)
        self.inference_seconds = StageTimer("inference", stage)
        self.serialize_seconds = StageTimer("serialize", stage)
        self.inputs = count("embedding_inputs", "Texts embedded.")
        self.input_tokens = count("embedding_input_tokens", "Their tokens.")
        self.truncated = count("embedding_truncated_inputs", "Texts that were cut.")
        self.refused = count("embedding_refused", "Requests that ended in an error, by its type.", ["reason"])
        self.overloaded = count("embedding_overloaded", "Requests refused with 429, by what they lacked.", ["cause"])
        for cause in get_args(Cause):
            self.overloaded.labels(cause)
        self.ignored_fields = count("embedding_ignored_fields", "Fields of requests that were ignored.", ["field"])
        self.dropped_texts = count("embedding_dropped_texts", "Texts that were admitted and given up uncomputed.")
        self.batch_tokens = Histogram("embedding_batch_tokens", "Tokens of a batch.", buckets=TOKENS, registry=registry)
        self.batch_texts = Histogram("embedding_batch_texts", "Texts of a batch.", buckets=TEXTS, registry=registry)
        self.batch_seconds = seconds("embedding_batch_seconds", "Time of a batch.")
        self.batch_failures = count("embedding_batch_failures", "Batches that failed.")
        self.useful_tokens = count("embedding_useful_tokens", "Tokens computed that belong to texts.")
        self.computed_tokens = count("embedding_computed_tokens", "The same and padding.")
        self.shared_texts = count("embedding_shared_texts", "Texts answered by an identical one in their batch.")
        self.cache_hits = count("embedding_cache_hits", "Texts answered from the cache.")
        self.cache_misses = count("embedding_cache_misses", "Texts that the cache did not hold.")
        self.closed_for_room = count("embedding_connections_closed", "Connections closed for others.", ["state"])
        for use in GRACE_S:
            self.closed_for_room.labels(use.value)
        self.watch_total("embedding_log_lines_lost", "Log lines that nobody read in time.", logs.lost_lines)
        self.model = Info("embedding_model", "What is served.", registry=registry)
        if limit := machine.memory_limit():
            self.watch("embedding_memory_limit_bytes", "Memory that the process may take.", lambda: limit)
        # Looking up a child by its labels costs more than incrementing it.
        self._answers = cache(self.requests.labels)
        self._answer_seconds = cache(self.request_seconds.labels)
        self._clock = clock
        self._rendered = b""
        self._asked = clock()
        self._renders = RENDERS_AT_ONCE

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read on each scrape."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def watch_memory(self, memory: Memory) -> None:
        """Add gauges of the memory budget and of the memory held, by kind."""
        help_text = "Memory that connections and requests may hold."
        self.watch("embedding_memory_budget_bytes", help_text, lambda: memory.limit)
        held = Gauge("embedding_memory_held_bytes", "What they hold, by kind.", ["kind"], registry=self.registry)
        for kind in Kind:
            held.labels(kind.value).set_function(partial(memory.held.__getitem__, kind))

    def watch_total(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a counter whose value is kept elsewhere and read on each scrape."""
        self.registry.register(_Total(name, help_text, read))

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count an answer; `route` is the path of a route, or `other`."""
        self._answers(route, code).inc()
        self._answer_seconds(route).observe(seconds)

    def refuse(self, error: ServiceError) -> None:
        """Count a request that ended in `error`."""
        self.refused.labels(error.error_type).inc()
        if isinstance(error, OverloadedError):
            self.overloaded.labels(error.cause).inc()

    def count_eviction(self, use: Use) -> None:
        """Count a connection in the state `use` that was closed to make room for another."""
        self.closed_for_room.labels(use.value).inc()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format, or the last rendering if the rate limit is exceeded."""
        now = self._clock()
        self._renders = min(RENDERS_AT_ONCE, self._renders + RENDERS_PER_S * (now - self._asked))
        self._asked = now
        if self._renders >= 1:
            self._renders -= 1
            self._rendered = generate_latest(self.registry)
        return self._rendered
