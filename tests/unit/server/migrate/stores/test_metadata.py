"""Metadata in the types that stores accept."""

import pytest

from server.migrate.errors import MigrateError
from server.migrate.stores.metadata import flat, to_json

METADATA = {
    "a": 1,
    "b": "ü",
    "none": None,
    "tags": ["x", "y"],
    "mixed": [1, "x"],
    "deep": {"k": [1]},
}


def test_flat_metadata_has_no_nulls_and_nothing_nested() -> None:
    expected = {"a": 1, "b": "ü", "mixed": '[1,"x"]', "deep": '{"k":[1]}'}
    assert flat(METADATA, "one") == expected | {"tags": '["x","y"]'}
    assert flat(METADATA, "one", lists=True) == expected | {"tags": ["x", "y"]}


def test_what_cannot_be_written_is_named() -> None:
    with pytest.raises(MigrateError, match="metadata of row-7 cannot be stored"):
        to_json({"huge": 1 << 70}, "row-7")
