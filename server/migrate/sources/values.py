"""Converts values of the types found in files and stores to ids and to JSON values. Pure."""

import math
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from uuid import UUID

# Integers up to here are exact in a float (IEEE 754 binary64); a larger float may have been another id.
EXACT = 1 << 53
WORDS = range(-(1 << 63), 1 << 64)
# Below the nesting limit of orjson (254), which writes every output.
DEEPEST = 200


def id_text(value: object) -> str:
    """Convert an id to text; allowed are text, integers of any size, decimals, UUIDs and dates (ISO 8601).

    Raises:
        ValueError: it is of another type; the message says which and what to do.
    """
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, date | time):
        return value.isoformat()
    raise ValueError(f"{_kind(value)}; an id must be text, a whole number, a UUID or a date")


def carried(value: object, depth: int = 0) -> object:
    """Convert `value` to a JSON value: dates in ISO 8601, bytes in base64 (RFC 4648), NaN as null.

    Raises:
        ValueError: it has no JSON form; the message describes it.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if depth == DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST}")
    if isinstance(value, Mapping):
        return {str(name): carried(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [carried(item, depth + 1) for item in value]
    return _number(value) if isinstance(value, int | float) else _text(value)


def _number(value: float) -> float | None:
    if isinstance(value, int):
        if value not in WORDS:
            raise ValueError("a whole number of more than 64 bits")
        return value
    if math.isinf(value):
        raise ValueError(f"not a finite number ({value})")
    return None if math.isnan(value) else value


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID | timedelta):
        return str(value)
    raise ValueError(f"of the type {type(value).__name__}")


def _kind(value: object) -> str:
    if value is None or value == "":
        return "missing" if value is None else "empty"
    if isinstance(value, float) and value.is_integer():
        return f"a floating-point number beyond 2^53 ({value!r}), which need not be the one that was meant"
    if isinstance(value, bool | float | Decimal):
        return f"a {type(value).__name__} ({value})"
    if isinstance(value, Mapping):
        named = ", ".join(list(map(str, value))[:3]) or "empty"
        return f"an object ({named}), in which --id-field NAME.FIELD names a field"
    return f"a {type(value).__name__}"
