import importlib.util
import logging
from types import SimpleNamespace

import pytest

from server.errors import StartError
from server.secret import Location
from server.telemetry.traces import Exporter, connect

ENDPOINT = "http://127.0.0.1:4318"


def test_without_a_collector_there_is_nothing() -> None:
    assert connect(Location()) is None


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is not None, reason="OpenTelemetry is installed here")
def test_a_collector_without_opentelemetry_stops_the_start_and_says_what_to_install() -> None:
    with pytest.raises(StartError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT=\S+: .*pip install -r requirements/otel.txt"):
        connect(Location(ENDPOINT))


class Collector:
    """A collector that can be down."""

    def __init__(self) -> None:
        self.answer = "FAILURE"

    def export(self, spans: list[object]) -> SimpleNamespace:
        return SimpleNamespace(name=self.answer, spans=spans)


def test_a_collector_that_is_down_is_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Exporter(Collector(), Location(ENDPOINT))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            exporter.export([object(), object()])
    assert caplog.messages == [f"traces do not reach {ENDPOINT}: 2 spans were lost"]


def test_a_collector_that_answers_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector()
    collector.answer = "SUCCESS"
    with caplog.at_level(logging.INFO):
        assert Exporter(collector, Location(ENDPOINT)).export([object()]).name == "SUCCESS"
    assert not caplog.messages
