"""Metadata in the shapes that stores take."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from server.migrate.errors import MigrateError
from server.migrate.sinks.metadata import flat, plain, to_json

WHEN = datetime(2024, 5, 1, tzinfo=UTC)
METADATA = {
    "a": 1,
    "b": "ü",
    "none": None,
    "tags": ["x", "y"],
    "mixed": [1, "x"],
    "deep": {"k": [1]},
    "cost": Decimal("1.50"),
}


def test_flat_metadata_has_no_nulls_and_nothing_nested() -> None:
    expected = {"a": 1, "b": "ü", "mixed": '[1,"x"]', "deep": '{"k":[1]}', "cost": "1.50"}
    assert flat(METADATA, "one") == expected | {"tags": '["x","y"]'}
    assert flat(METADATA, "one", lists=True) == expected | {"tags": ["x", "y"]}


def test_what_json_does_not_know_becomes_text() -> None:
    assert plain({"when": WHEN, "cost": Decimal("1.50")}, "one") == {
        "when": "2024-05-01T00:00:00+00:00",
        "cost": "1.50",
    }


def test_what_cannot_be_written_is_named() -> None:
    with pytest.raises(MigrateError, match="metadata of row-7 cannot be stored"):
        to_json({"huge": 1 << 70}, "row-7")
