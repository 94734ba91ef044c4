"""Logging as text or JSON, on the standard library.

Control characters are escaped, so that no message can forge a line, and known secrets are masked in every line. Lines
logged while a request is served contain its id.
"""

import json
import logging
import re
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

from server.secret import scrub, scrubbed
from server.system.log_writer import LogQueue
from server.telemetry.request_context import CURRENT

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# C0 and C1 controls (line feeds and terminal sequences), Unicode's line separators, bidirectional controls, and lone
# surrogates, which cannot be encoded.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Libraries with verbose logs.
QUIET = {"uvicorn.error": logging.WARNING, "urllib3": logging.WARNING, "asyncio": logging.INFO}


class TextFormatter(logging.Formatter):
    """One line per event; the lines of a traceback are prefixed, so that they cannot be mistaken for events."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """Render a record, with its request and its traceback if it has them."""
        line = self.formatMessage(_with_message(record))
        marks = "".join(f" {name}={value}" for name, value in _ids().items())
        trace = "".join(f"\n  | {escape(row)}" for row in _traceback(self, record).split("\n") if row)
        return escape(scrub(line + marks)) + trace


class JsonFormatter(logging.Formatter):
    """One JSON object per line, ASCII only; the record's `fields` become members."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record, with its request and its traceback if it has them."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        line |= {name: scrubbed(value) for name, value in getattr(record, "fields", {}).items()} | _ids()
        if trace := _traceback(self, record):
            line["traceback"] = trace
        return json.dumps(line, default=repr)


class RateLimit:
    """Rate limit for repeated events: admits one of each kind every `every_s` seconds, and counts the others."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._shown: dict[str, float] = {}
        self._held: Counter[str] = Counter()

    def admit(self, kind: str, now: float) -> int | None:
        """Return the number of events suppressed since the last admitted one, or None to suppress this one too."""
        if now - self._shown.get(kind, -self._every_s) < self._every_s:
            self._held[kind] += 1
            return None
        self._shown[kind] = now
        return self._held.pop(kind, 0)


def escape(text: str) -> str:
    r"""Escape control characters as Python does: a line feed as \n, an escape as \x1b."""
    return CONTROL.sub(lambda character: repr(character[0])[1:-1], text)


def configure(log_format: Literal["text", "json"], level: str) -> None:
    """Log everything from `level` up, including warnings and uncaught exceptions, to stderr in `log_format`.

    A thread writes the lines (`LogQueue`); `logging.shutdown`, called at exit, waits up to a second for it.
    """
    # A full disk or a closed pipe must not cause an error for every line that cannot be written.
    logging.raiseExceptions = False
    handler = LogQueue(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_thread


def lost_lines() -> int:
    """Return the number of lines dropped because the queue was full."""
    return sum(handler.lost for handler in logging.getLogger().handlers if isinstance(handler, LogQueue))


def _with_message(record: logging.LogRecord) -> logging.LogRecord:
    record.message = record.getMessage()
    record.asctime = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return record


def _ids() -> dict[str, str]:
    trail = CURRENT.get()
    if trail is None:
        return {}
    return {"request_id": trail.request_id} | ({"trace_id": trail.trace_id} if trail.trace_id else {})


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    # `traceback` replaces the exception info if its message must not be logged because it may quote a user's text.
    if record.exc_info:
        return scrub(formatter.formatException(record.exc_info))
    return scrub(str(getattr(record, "traceback", "")))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("server").critical("uncaught %s", kind.__name__, exc_info=(kind, error, trace))


def _log_unraisable(raised: "sys.UnraisableHookArgs") -> None:
    if raised.exc_value is not None:
        what = (raised.exc_type, raised.exc_value, raised.exc_traceback)
        logging.getLogger("server").error("ignored %s", raised.exc_type.__name__, exc_info=what)


def _log_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is None or issubclass(raised.exc_type, SystemExit):
        return
    name = raised.thread.name if raised.thread else "a thread"
    what = (raised.exc_type, raised.exc_value, raised.exc_traceback)
    logging.getLogger("server").critical("uncaught %s in %s", raised.exc_type.__name__, name, exc_info=what)
