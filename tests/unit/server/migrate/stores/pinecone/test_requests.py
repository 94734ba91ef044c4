"""Splitting records into upsert requests."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.migrate.errors import MigrateError
from server.migrate.stores.pinecone.open import requests


def record(number: int, size: int, dimension: int = 2) -> dict[str, Any]:
    return {"id": str(number), "values": [0.12345678] * dimension, "metadata": {"text": "é" * (size // 2)}}


@given(st.lists(st.tuples(st.integers(0, 39_000), st.integers(1, 3000)), max_size=120))
def test_requests_keep_the_order_and_the_limits(sizes: list[tuple[int, int]]) -> None:
    records = [record(number, *size) for number, size in enumerate(sizes)]
    batches = list(requests(records))
    assert [one for batch in batches for one in batch] == records
    bodies = [orjson.dumps({"vectors": batch, "namespace": "n" * 512}) for batch in batches]
    assert all(len(body) <= 2_000_000 for body in bodies)


def test_small_records_go_by_the_thousand() -> None:
    assert [len(batch) for batch in requests(record(number, 10) for number in range(2500))] == [1000, 1000, 500]


def test_too_much_metadata_is_refused_by_name() -> None:
    with pytest.raises(MigrateError, match=r"text and metadata of 7 have 400.. bytes, Pinecone takes 40000"):
        list(requests([record(7, 40_000)]))
