import json
import logging
import sys
import threading
import warnings
from io import StringIO
from types import SimpleNamespace

import pytest

from server.telemetry import logs
from server.telemetry.logs import RateLimit
from server.telemetry.request_context import CURRENT, RequestContext

HOSTILE = "a\r\nFAKE\x1b[31m\x9b\u2028\u202e\x00z"


def emit(capsys: pytest.CaptureFixture[str], log_format: str, message: str, **options: object) -> str:
    """Log a warning; return the output."""
    logs.configure("json" if log_format == "json" else "text", "info")
    logging.getLogger("server").warning("%s", message, **options)  # type: ignore[arg-type]
    return said(capsys)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Flush the log writer; return the output."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    return capsys.readouterr().err


def test_json_lines_hold_one_event_each(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("server").exception("request %s failed", "r1")
    logging.getLogger("server").debug("not shown")
    (line,) = said(capsys).splitlines()
    event = json.loads(line)
    assert (event["level"], event["message"]) == ("error", "request r1 failed")
    assert "ValueError" in event["traceback"]


def test_text_lines_say_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "warning")
    logging.getLogger("server").warning("careful")
    assert "WARNING server: careful" in said(capsys)


def test_control_characters_cannot_forge_a_line_or_reach_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = emit(capsys, "text", HOSTILE)
    assert text.endswith("server: a\\r\\nFAKE\\x1b[31m\\x9b\\u2028\\u202e\\x00z\n")
    line = emit(capsys, "json", HOSTILE)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == HOSTILE


def test_no_line_of_a_traceback_can_pass_for_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("first\n2026-01-01 INFO server: forged\x1b[0m")
    first, *rest = emit(capsys, "text", "broken", exc_info=error).splitlines()
    assert first.endswith("broken")
    assert any("forged\\x1b[0m" in row for row in rest)
    assert all(row.startswith("  | ") for row in rest)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_half_a_character_is_logged_all_the_same(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    assert "ud800" in emit(capsys, log_format, "\ud800")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_names_the_request_that_is_served(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    token = CURRENT.set(RequestContext("me-1", 0.0, "ab" * 16))
    try:
        line = emit(capsys, log_format, "slow")
    finally:
        CURRENT.reset(token)
    assert "me-1" in line
    assert "ab" * 16 in line
    assert "request_id" not in emit(capsys, log_format, "idle")


def test_fields_of_a_record_are_members_of_its_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = emit(capsys, "json", "done", extra={"fields": {"code": 200}})
    assert json.loads(line)["code"] == 200


def test_what_nobody_caught_is_logged_in_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    sys.excepthook(ValueError, ValueError("main"), None)
    worker = threading.Thread(target=int, args=("no number",), name="worker")
    worker.start()
    worker.join()
    sys.unraisablehook(SimpleNamespace(exc_type=OSError, exc_value=OSError("on closing"), exc_traceback=None))
    warnings.showwarning("old", DeprecationWarning, "file.py", 1)
    events = [json.loads(line) for line in said(capsys).splitlines()]
    assert [event["message"] for event in events[:2]] == ["uncaught ValueError", "uncaught ValueError in worker"]
    assert "no number" in events[1]["traceback"]
    assert "on closing" in events[2]["traceback"]
    assert "old" in events[3]["message"]


def test_a_stream_that_takes_nothing_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("text", "info")
    stream.close()
    logging.getLogger("server").warning("lost")


def test_sparse_shows_the_first_of_a_kind_and_counts_those_it_holds_back() -> None:
    limit = RateLimit(10)
    assert [limit.admit("a", now) for now in (0, 1, 9.9)] == [0, None, None]
    assert limit.admit("b", 5) == 0
    assert [limit.admit("a", now) for now in (10, 11, 25)] == [2, None, 1]
