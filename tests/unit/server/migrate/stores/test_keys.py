"""Keys for stores that do not accept arbitrary text as ids."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.migrate.errors import MigrateError
from server.migrate.stores.keys import merged, original, pinecone_key, qdrant_key

NUMBERS = st.integers(0, 1 << 70).map(str)
UUIDS = st.uuids().flatmap(lambda one: st.sampled_from([str(one), str(one).upper(), one.hex, f"{{{one}}}"]))
IDS = (
    st.text(min_size=1, max_size=40)
    | NUMBERS
    | NUMBERS.map("0{}".format)
    | UUIDS
    | st.text("a", min_size=500, max_size=530)
)


@given(st.lists(IDS, unique=True, max_size=20))
def test_qdrant_takes_every_key_and_no_two_ids_share_one(ids: list[str]) -> None:
    keys = [qdrant_key(id_) for id_ in ids]
    assert len({str(key) for key in keys}) == len(ids)
    for key in keys:
        assert 0 <= key < 1 << 64 if isinstance(key, int) else str(uuid.UUID(key)) == key


@given(st.lists(IDS, unique=True, max_size=20))
def test_pinecone_takes_every_key_and_no_two_ids_share_one(ids: list[str]) -> None:
    keys = [pinecone_key(id_) for id_ in ids]
    assert len(set(keys)) == len(ids)
    assert all(key.isascii() and 1 <= len(key) <= 512 and "\0" not in key for key in keys)


@given(IDS)
def test_the_id_of_the_input_is_found_again(id_: str) -> None:
    key = qdrant_key(id_)
    assert original(key, {} if str(key) == id_ else {"id": id_}) == id_


def test_keys_stay_the_same_from_version_to_version() -> None:
    assert qdrant_key("doc#0") == "e0b95084-2d77-506b-97c4-3c44243006c6"
    assert pinecone_key("☃") == "72db3684-7f3b-511e-9eff-436e65cbaa41"


def test_a_payload_of_others_with_an_id_of_its_own_is_not_taken_for_ours() -> None:
    assert original(12, {"id": "something else"}) == "12"


def test_equal_values_may_share_a_name_and_others_may_not() -> None:
    assert merged({"text": "a", "page": 1}, {"text": "a"}) == {"text": "a", "page": 1}
    with pytest.raises(MigrateError, match="field text of doc has a name that is taken"):
        merged({"text": "b"}, {"text": "a", "id": "doc"})
