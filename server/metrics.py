"""What the server counts of itself, for Prometheus. No label ever holds a caller's text, key or path as sent."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from server.errors import ServiceError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# From a cached answer to REQUEST_TIMEOUT_S, each about twice the one before.
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


class Metrics:
    """One server's counters, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # process_resident_memory_bytes, process_open_fds, ...
        seconds = partial(Histogram, buckets=SECONDS, registry=registry)
        tokens = partial(Histogram, buckets=TOKENS, registry=registry)
        count = partial(Counter, registry=registry)
        self.requests = count("embedding_requests", "Answers.", ["route", "code"])
        self.request_seconds = seconds("embedding_request_seconds", "From the headers to the answer.", ["route"])
        stage = seconds("embedding_stage_seconds", "Time of a request in each stage.", ["stage"])
        self.tokenize_seconds = stage.labels("tokenize")
        self.queue_seconds = stage.labels("queue")
        self.inference_seconds = stage.labels("inference")
        self.serialize_seconds = stage.labels("serialize")
        self.inputs = count("embedding_inputs", "Texts embedded.")
        self.input_tokens = count("embedding_input_tokens", "Their tokens.")
        self.truncated = count("embedding_truncated_inputs", "Texts that were cut.")
        self.refused = count("embedding_refused", "Requests that ended in an error, by its type.", ["reason"])
        self.batch_tokens = tokens("embedding_batch_tokens", "Tokens of a batch.")
        self.batch_texts = tokens("embedding_batch_texts", "Texts of a batch.")
        self.batch_seconds = seconds("embedding_batch_seconds", "Time of a batch.")
        self.batch_failures = count("embedding_batch_failures", "Batches that failed.")
        self.useful_tokens = count("embedding_useful_tokens", "Tokens computed that belong to texts.")
        self.computed_tokens = count("embedding_computed_tokens", "The same and padding.")
        self.shared_texts = count("embedding_shared_texts", "Texts answered by an identical one in their batch.")
        self.cache_hits = count("embedding_cache_hits", "Texts answered from the cache.")
        self.cache_misses = count("embedding_cache_misses", "Texts that the cache did not hold.")
        self.model = Info("embedding_model", "What is served.", registry=registry)

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when it is scraped."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def answered(self, route: str, code: int, seconds: float) -> None:
        """Count an answer; `route` is the path of a route, or `other`."""
        self.requests.labels(route, code).inc()
        self.request_seconds.labels(route).observe(seconds)

    def refuse(self, error: ServiceError) -> None:
        """Count a request that ended in `error`."""
        self.refused.labels(error.error_type).inc()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
