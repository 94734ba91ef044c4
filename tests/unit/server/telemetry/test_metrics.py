import re

import pytest

from server.errors import InvalidError
from server.telemetry.metrics import RENDERS_AT_ONCE, Metrics
from server.telemetry.request_context import CURRENT, RequestContext


def value(metrics: Metrics, series: str) -> float:
    """Return the rendered value of a series."""
    match = re.search(rf"^{re.escape(series)} (\S+)$", metrics.render().decode(), re.MULTILINE)
    assert match, series
    return float(match[1])


def test_answers_are_counted_by_route_and_code() -> None:
    metrics = Metrics()
    metrics.answered("/embed", 200, 0.3)
    metrics.answered("/embed", 200, 0.01)
    metrics.answered("other", 404, 0.01)
    assert value(metrics, 'embedding_requests_total{code="200",route="/embed"}') == 2
    assert value(metrics, 'embedding_requests_total{code="404",route="other"}') == 1
    assert value(metrics, 'embedding_request_seconds_bucket{le="0.2",route="/embed"}') == 1
    assert value(metrics, 'embedding_request_seconds_sum{route="/embed"}') == pytest.approx(0.31)


def test_errors_are_counted_by_type_not_by_message() -> None:
    metrics = Metrics()
    metrics.refuse(InvalidError("item 3 is too long"))
    assert value(metrics, 'embedding_refused_total{reason="validation"}') == 1
    assert b"item" not in metrics.render()


def test_a_stage_is_counted_for_all_and_kept_for_the_request_it_was_for() -> None:
    metrics, trail = Metrics(), RequestContext("a", 0.0)
    metrics.queue_seconds.observe(0.1)
    token = CURRENT.set(trail)
    try:
        metrics.queue_seconds.observe(0.2)
        with metrics.serialize_seconds.time():
            pass
    finally:
        CURRENT.reset(token)
    assert value(metrics, 'embedding_stage_seconds_count{stage="queue"}') == 2
    assert [(step.name, step.seconds > 0) for step in trail.steps] == [("queue", True), ("serialize", True)]


def test_a_watched_gauge_is_read_when_scraped() -> None:
    metrics, held = Metrics(), [1.0]
    metrics.watch("embedding_queue_tokens", "Held.", lambda: held[0])
    held[0] = 7
    assert value(metrics, "embedding_queue_tokens") == 7


def test_the_process_and_its_memory_are_told_of() -> None:
    assert value(Metrics(), "process_resident_memory_bytes") > 1e6


def test_scraping_without_pause_is_answered_with_the_last_text() -> None:
    now = [0.0]
    metrics = Metrics(clock=lambda: now[0])
    for _ in range(int(RENDERS_AT_ONCE)):
        assert metrics.render()
    metrics.inputs.inc()
    assert b"embedding_inputs_total 0.0" in metrics.render()
    now[0] = 1.0
    assert b"embedding_inputs_total 1.0" in metrics.render()
