"""Decodes JSON request bodies into typed structs, with limits on memory and time."""

import gc
import re
from typing import TypeVar

import msgspec

from server.errors import InvalidError, MalformedError, TooLargeError
from server.model.tokenization import PARAM
from server.service.memory_budget import PARSED_FACTOR

HIGH, LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (HIGH, LOW, HIGH, LOW))
# How msgspec locates an error: an unexpected or missing field, or the path to a value.
FIELD = re.compile(r"(?:field |`\$\.)`?([A-Za-z_.]+)")
# A message may quote a field name from the body, which can be megabytes long.
LONGEST_MESSAGE = 300
# Bodies are decoded on the event loop, so expensive work is limited: only bodies up to this length are searched for a
# lone surrogate, and only this many numbers may have a decimal point.
LONGEST_SEARCHED = 262_144
MOST_POINTS = 65_536
# Maximum memory of a decoded value other than a string, and the bytes that can precede a value.
VALUE_BYTES = 72
BEGINNINGS = (b",", b"[", b"{")
# A string, or an unterminated rest of one. Possessive, so that matching takes linear time.
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z|\\\Z)', re.DOTALL)
# Allowance for strings, lists and objects other than the texts.
OTHER_VALUES = 64

T = TypeVar("T")


def decode(payload: bytes, body: type[T], example: str, most: int) -> T:
    """Decode `payload` as a `body` of at most `most` texts; the error for an empty payload quotes `example`.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        InvalidError: JSON of another shape; the message names the location.
        TooLargeError: it has more texts than `most`, and would take far more memory than its bytes.
    """
    if not payload.strip():
        raise MalformedError(f"the body is empty; send JSON such as {example}")
    if payload.startswith(b"\xef\xbb\xbf"):
        raise MalformedError("the body starts with a byte order mark; send UTF-8 without one")
    _check_values(payload, most)
    try:
        return _decode(payload, body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except UnicodeDecodeError:
        raise MalformedError("the body is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        # For a lone surrogate at the end of a string, msgspec reports truncated input.
        if len(payload) <= LONGEST_SEARCHED and (lone := LONE_SURROGATE.search(payload)):
            raise InvalidError(f"lone surrogate escape at byte {lone.start()}: not valid Unicode") from None
        reason = _first_lower(str(error).removeprefix("JSON is malformed: "))
        raise MalformedError(f"malformed JSON: {reason}") from None
    except RecursionError:
        raise MalformedError("malformed JSON: nested too deep") from None


def _decode(payload: bytes, body: type[T]) -> T:
    gc.disable()  # the collector would repeatedly traverse up to millions of small lists
    try:
        return msgspec.json.decode(payload, type=body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        # Some languages write whole numbers as 64.0, which msgspec does not accept as `int`.
        return msgspec.convert(msgspec.json.Decoder(float_hook=_WholeNumbers()).decode(payload), type=body)
    finally:
        gc.enable()


def _check_values(payload: bytes, most: int) -> None:
    """Refuse bodies that take far more memory when decoded than their bytes, such as empty lists (20 times).

    Only numbers are unlimited here, since there may be many token ids; they take up to ten times their bytes.
    """
    if (
        VALUE_BYTES * sum(map(payload.count, BEGINNINGS)) <= PARSED_FACTOR * len(payload)
        or len(payload) <= LONGEST_SEARCHED
    ):
        return
    texts = lists = objects = 0
    start = end = 0
    while start >= 0 and max(texts, lists, objects) <= most + OTHER_VALUES:
        start = payload.find(b'"', end)
        between = end, start if start >= 0 else len(payload)
        lists += payload.count(b"[", *between)
        objects += payload.count(b"{", *between)
        if start >= 0 and (string := STRING.match(payload, start)):
            texts, end = texts + 1, string.end()
    if max(texts, lists) > most + OTHER_VALUES:
        raise TooLargeError(f"more than {most} texts, the limit is {most}; send them in parts", param=PARAM)
    if objects > OTHER_VALUES:
        raise InvalidError(f"more than {OTHER_VALUES} objects; a request is one")


class _WholeNumbers:
    """Decodes 64.0 as 64, for a limited number of values."""

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
    field = FIELD.search(shown)
    return InvalidError(_first_lower(shown), param=field[1] if field else None)


def _first_lower(message: str) -> str:
    return message[:1].lower() + message[1:]
