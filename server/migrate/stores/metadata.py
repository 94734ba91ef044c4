"""Converts metadata to the forms that stores accept: JSON text, JSON types or flat values. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from server.migrate.errors import MigrateError


def to_json(metadata: Mapping[str, Any], id_: str) -> str:
    """Serialize metadata as JSON.

    Raises:
        MigrateError: it cannot be serialized; the message names the row.
    """
    try:
        return orjson.dumps(dict(metadata)).decode()
    except TypeError as error:
        raise MigrateError(f"the metadata of {id_} cannot be stored: {error}; leave the field out") from None


def plain(metadata: Mapping[str, Any], id_: str) -> dict[str, Any]:
    """Return metadata with JSON types only.

    Raises:
        MigrateError: it cannot be serialized; the message names the row.
    """
    loaded: dict[str, Any] = orjson.loads(to_json(metadata, id_))
    return loaded


def flat(metadata: Mapping[str, Any], id_: str, *, lists: bool = False) -> dict[str, Any]:
    """Return metadata with text, numbers and booleans only: nulls are dropped, nested values become JSON text.

    `lists` keeps lists of text unchanged.

    Raises:
        MigrateError: it cannot be serialized; the message names the row.
    """
    return {
        name: value if _simple(value, lists=lists) else orjson.dumps(value).decode()
        for name, value in plain(metadata, id_).items()
        if value is not None
    }


def _simple(value: object, *, lists: bool) -> bool:
    if isinstance(value, list):
        return lists and all(isinstance(item, str) for item in value)
    return isinstance(value, str | int | float | bool)
