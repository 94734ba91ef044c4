"""Which columns of a PostgreSQL table hold vectors."""

from collections.abc import Mapping

import pytest

from server.migrate.stores.pgvector.open import vector_columns

FLAG = {"id": "text", "embedding": "bit"}


@pytest.mark.parametrize(
    ("columns", "bits", "marked", "found"),
    [
        (FLAG, 1, False, []),
        (FLAG, 64, False, ["embedding"]),
        (FLAG, 64, True, ["embedding"]),
        ({**FLAG, "vec": "vector"}, 64, False, ["vec"]),
        ({"id": "text", "active": "bit"}, 0, False, []),
        ({"id": "text", "embedding": "halfvec"}, 0, False, ["embedding"]),
    ],
)
def test_bits_are_a_vector_only_where_nothing_says_otherwise(
    columns: Mapping[str, str], bits: int, marked: bool, found: list[str]
) -> None:
    assert vector_columns(columns, bits, marked=marked) == found
