import json
import logging
from collections.abc import Iterator

import pytest

from server import logs


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_json_lines_hold_one_event_each(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("server").exception("request %s failed", "r1")
    logging.getLogger("server").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["level"], event["message"]) == ("error", "request r1 failed")
    assert "ValueError" in event["traceback"]


def test_text_lines_say_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "warning")
    logging.getLogger("server").warning("careful")
    assert "WARNING server: careful" in capsys.readouterr().err
