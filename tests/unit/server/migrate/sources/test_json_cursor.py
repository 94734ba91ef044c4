"""A cursor in a JSON stream."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.migrate.sources import json_cursor
from server.migrate.sources.json_cursor import Cursor

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=6), st.integers(1, 9), st.sampled_from([None, 1]))
def test_any_list_is_read_as_json_reads_it_whatever_the_blocks(values: list[object], size: int, indent: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_cursor, "BLOCK", size)
        cursor = Cursor(io.StringIO(json.dumps(values, indent=indent)))
        elements = list(cursor.elements())
        cursor.end()
    assert elements == values


@given(VALUES, st.integers(1, 9))
def test_any_value_is_gone_past_to_what_comes_after_it(value: object, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_cursor, "BLOCK", size)
        cursor = Cursor(io.StringIO(json.dumps({"x": value, "y": [1]})))
        for name in cursor.members():
            if name == "x":
                cursor.skip()
            else:
                assert list(cursor.elements()) == [1]
        cursor.end()
