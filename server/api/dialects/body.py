"""Request bodies: JSON bytes to the typed body of a route."""

import gc
import re
from typing import TypeVar

import msgspec

from server.errors import InvalidError, MalformedError, TooLargeError
from server.model.tokenization import PARAM
from server.service.memory_budget import PARSED_FACTOR

HIGH, LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (HIGH, LOW, HIGH, LOW))
# How msgspec names the place of a fault: a field that should not or should be there, or the path to a value.
FIELD = re.compile(r"(?:field |`\$\.)`?([A-Za-z_.]+)")
# A message may quote a field's name as sent, and that may be megabytes long.
LONGEST_MESSAGE = 300
# The event loop reads bodies, so what costs much for each byte has an end: longer bodies are not searched for the place
# of a lone surrogate, and so many numbers may be written with a point.
LONGEST_SEARCHED = 262_144
MOST_POINTS = 65_536
# What a value takes at most, unless it is a text, and what each but the first of a list begins with.
VALUE_BYTES = 72
BEGINNINGS = (b",", b"[", b"{")
# A string, or what is left of one that does not end: every byte is looked at once.
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)
# Strings, lists and objects of a body beside its texts.
OTHER_VALUES = 64

T = TypeVar("T")


def decode(raw: bytes, body: type[T], example: str, most: int) -> T:
    """Read `raw` as a `body` of at most `most` texts; `example` shows the caller of an empty one what to send.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        InvalidError: JSON of another shape; the message names the place.
        TooLargeError: it would take far more memory than its bytes, and holds more texts than that anyway.
    """
    if not raw.strip():
        raise MalformedError(f"the body is empty; send JSON such as {example}")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise MalformedError("the body starts with a byte order mark; send UTF-8 without one")
    _check_values(raw, most)
    try:
        return _decode(raw, body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except UnicodeDecodeError:
        raise MalformedError("the body is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        # Of a string that ends in one, msgspec says that the input was truncated.
        if len(raw) <= LONGEST_SEARCHED and (lone := LONE_SURROGATE.search(raw)):
            raise InvalidError(f"lone surrogate escape at byte {lone.start()}: not valid Unicode") from None
        reason = _first_lower(str(error).removeprefix("JSON is malformed: "))
        raise MalformedError(f"malformed JSON: {reason}") from None
    except RecursionError:
        raise MalformedError("malformed JSON: nested too deep") from None


def _decode(raw: bytes, body: type[T]) -> T:
    gc.disable()  # a million small lists on the way to a refusal would be gone through again and again
    try:
        return msgspec.json.decode(raw, type=body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        # In JSON 64.0 is a whole number, and some languages write them so; msgspec takes it for no `int`.
        return msgspec.convert(msgspec.json.Decoder(float_hook=_WholeNumbers()).decode(raw), type=body)
    finally:
        gc.enable()


def _check_values(raw: bytes, most: int) -> None:
    """Refuse what takes far more memory than its bytes once it is read: empty lists 20 times as much.

    Only numbers may be many, since there may be many token ids; they take up to ten times as much.
    """
    if VALUE_BYTES * sum(map(raw.count, BEGINNINGS)) <= PARSED_FACTOR * len(raw) or len(raw) <= LONGEST_SEARCHED:
        return
    texts = lists = objects = 0
    start = end = 0
    while start >= 0 and max(texts, lists, objects) <= most + OTHER_VALUES:
        start = raw.find(b'"', end)
        between = end, start if start >= 0 else len(raw)
        lists += raw.count(b"[", *between)
        objects += raw.count(b"{", *between)
        if start >= 0 and (string := STRING.match(raw, start)):
            texts, end = texts + 1, string.end()
    if max(texts, lists) > most + OTHER_VALUES:
        raise TooLargeError(f"more than {most} texts, the limit is {most}; send them in parts", param=PARAM)
    if objects > OTHER_VALUES:
        raise InvalidError(f"more than {OTHER_VALUES} objects; a request is one")


class _WholeNumbers:
    """Reads 64.0 as 64, so many times."""

    def __init__(self) -> None:
        self._left = MOST_POINTS

    def __call__(self, written: str) -> float:
        self._left -= 1
        if self._left < 0:
            raise InvalidError(f"more than {MOST_POINTS} numbers are written with a point or an exponent")
        value = float(written)
        return int(value) if value.is_integer() else value


def _invalid(message: str) -> InvalidError:
    shown = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
    found = FIELD.search(shown)
    return InvalidError(_first_lower(shown), param=found[1] if found else None)


def _first_lower(message: str) -> str:
    return message[:1].lower() + message[1:]
