"""Request bodies: JSON bytes to the typed body of a route."""

import re
from typing import TypeVar

import msgspec

from server.errors import InvalidError, MalformedError

HIGH, LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (HIGH, LOW, HIGH, LOW))
# How msgspec names the place of a fault: a field that should not or should be there, or the path to a value.
FIELD = re.compile(r"(?:field |`\$\.)`?([A-Za-z_.]+)")
# A message may quote a field's name as sent, and that may be megabytes long.
LONGEST_MESSAGE = 300

T = TypeVar("T")


def decode(raw: bytes, body: type[T], example: str) -> T:
    """Read `raw` as a `body`; `example` shows the caller of an empty one what to send.

    Raises:
        MalformedError: not JSON, or not UTF-8.
        InvalidError: JSON of another shape; the message names the place.
    """
    if not raw.strip():
        raise MalformedError(f"the body is empty; send JSON such as {example}")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise MalformedError("the body starts with a byte order mark; send UTF-8 without one")
    try:
        return _decode(raw, body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except UnicodeDecodeError:
        raise MalformedError("the body is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        # Of a string that ends in one, msgspec says that the input was truncated.
        if lone := LONE_SURROGATE.search(raw):
            raise InvalidError(f"lone surrogate escape at byte {lone.start()}: not valid Unicode") from None
        reason = _first_lower(str(error).removeprefix("JSON is malformed: "))
        raise MalformedError(f"malformed JSON: {reason}") from None
    except RecursionError:
        raise MalformedError("malformed JSON: nested too deep") from None


def _decode(raw: bytes, body: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        # In JSON 64.0 is a whole number, and some languages write them so; msgspec takes it for no `int`.
        return msgspec.convert(_whole_numbers.decode(raw), type=body)


def _number(written: str) -> float:
    value = float(written)
    return int(value) if value.is_integer() else value


_whole_numbers = msgspec.json.Decoder(float_hook=_number)


def _invalid(message: str) -> InvalidError:
    shown = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
    found = FIELD.search(shown)
    return InvalidError(_first_lower(shown), param=found[1] if found else None)


def _first_lower(message: str) -> str:
    return message[:1].lower() + message[1:]
